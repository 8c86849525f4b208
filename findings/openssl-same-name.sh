#!/usr/bin/env bash
# OpenSSL: a certificate whose subject equals its issuer's is called self-signed, no matter which key signed it.
#
# Versions: cryptography 45.0.7 and pyOpenSSL 25.3.0 (which bring OpenSSL 3.5.2).
# A leaf and its authority may both have an empty subject, or one that a library fills in for both.
# Without key identifiers in the certificates, OpenSSL compares the names alone and looks for no issuer.
# With identifiers, or with another subject, the same keys pass.
# Seen:
#   same subject: self-signed certificate
#   same subject, key identifiers: OK
#   other subject: OK
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >verify.py <<'PYTHON'
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import crypto


def named(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, is_authority, with_identifiers):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if with_identifiers:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(issuers, critical=False)
    return crypto.X509.from_cryptography(builder.sign(issuer_key, hashes.SHA256()))


authority_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
for case, subject, with_identifiers in [
    ("same subject", "a name", False),
    ("same subject, key identifiers", "a name", True),
    ("other subject", "another name", False),
]:
    store = crypto.X509Store()
    store.add_cert(certificate("a name", authority_key, "a name", authority_key, True, with_identifiers))
    leaf = certificate(subject, leaf_key, "a name", authority_key, False, with_identifiers)
    try:
        crypto.X509StoreContext(store, leaf).verify_certificate()
        print(f"{case}: OK")
    except crypto.X509StoreContextError as error:
        print(f"{case}: {error}")
PYTHON
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check cryptography==45.0.7 pyOpenSSL==25.3.0
seen=$(venv/bin/python verify.py)
echo "$seen"
[ "$seen" = 'same subject: self-signed certificate
same subject, key identifiers: OK
other subject: OK' ]
