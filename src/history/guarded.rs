//! The border of the store's library: on damaged bytes it panics in places, which is an error here.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the library. A panic comes back as what it said; what was called is not to be used again then.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = GUARDED.replace(true);
    let called = panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    called.map_err(|panic| said(&*panic))
}

/// Keeps a process's standard error free of panics that [`guarded`] turns into errors.
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
