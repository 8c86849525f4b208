//! Panic boundary around the store's library: on damaged bytes it panics in places, which becomes an error here.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the library and returns a panic as an error with its message; the called object must
/// not be used again after one.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = GUARDED.replace(true);
    let called = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    called.map_err(|panic| said(&*panic))
}

/// Keeps panics that [`guarded`] turns into errors out of the standard error of a process.
pub(super) fn quiet() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !GUARDED.get() {
            loud(panic);
        }
    }));
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_library_is_what_it_said() {
        let panicked = guarded(|| -> u32 { panic!("page {} is none", 7) });
        assert_eq!(panicked, Err("page 7 is none".to_owned()));
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
