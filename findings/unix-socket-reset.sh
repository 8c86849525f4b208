#!/usr/bin/env bash
# Linux: the end of a Unix stream socket is `ECONNRESET`, not the end of the stream, when the peer left bytes unread.
#
# Versions: Linux 6.18, Python 3.11 only to make the calls.
# It is known of TCP, where a reset may travel; of two processes on one machine one expects that a peer's death reads as
# the end of the stream.
# What the peer had written before is still read first, in any case.
# A protocol over a pair of sockets has to take both for "the peer is gone".
# Seen:
#   everything read: b'bye' b''
#   bytes unread: b'bye' ECONNRESET
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/pair.py" <<'PYTHON'
import errno, os, socket


def ends(reads_all):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.sendall(b"question")
    if os.fork() == 0:
        if reads_all:
            theirs.recv(64)
        theirs.sendall(b"bye")
        os._exit(0)
    theirs.close()
    os.wait()
    said = repr(ours.recv(64))
    try:
        return f"{said} {ours.recv(64)!r}"
    except OSError as error:
        return f"{said} {errno.errorcode[error.errno]}"


print("everything read:", ends(True))
print("bytes unread:", ends(False))
PYTHON
seen=$(python3 "$dir/pair.py")
echo "$seen"
[ "$seen" = "everything read: b'bye' b''
bytes unread: b'bye' ECONNRESET" ]
