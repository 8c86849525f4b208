//! The conformance suite: tables of bytes in, and of what the client and the origin must see. `README.md` beside this
//! file says how to read and extend it, and which cases cover which requirement.

mod case;
#[expect(clippy::too_many_lines, reason = "a table is as long as it is")]
mod cases;
mod check;
pub(crate) mod child;
pub(crate) mod h2;
mod origin;
mod readme;
mod recorder;
mod run;
mod wire;

#[test]
fn http1() {
    run::all(cases::all());
}

#[test]
fn http2() {
    run::all(h2::cases::all());
}
