//! Any text as a configuration file: read, or refused with a place and a reason for each fault.

use std::path::Path;

use crate::config::file::File;
use crate::config::{Loaded, effective};

/// The check of the target `config`.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A schema's file is read, and some files never end.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let Ok(loaded) = read(text) else { return };
    let written = effective(&loaded);
    match read(&written) {
        Ok(again) => {
            let values =
                |loaded: &Loaded| format!("{:?} {:?}", loaded.config.limits, loaded.config.auth.keys);
            assert_eq!(values(&again), values(&loaded), "{written}");
        }
        Err(told) => panic!("what was effective is refused: {told}\n{written}"),
    }
}

fn read(text: &str) -> Result<Loaded, String> {
    let mut loaded = Loaded::default();
    let outcome = File::of(Path::new("no/such/folder/hub.toml"), text.to_string()).apply(&mut loaded);
    outcome.map(|()| loaded).map_err(|faults| {
        assert!(!faults.0.is_empty(), "a refusal without a fault");
        for fault in &faults.0 {
            assert!(fault.place.starts_with("no/such/folder/hub.toml:"), "{fault:?}");
            assert!(!fault.message.is_empty(), "{fault:?}");
        }
        faults.to_string()
    })
}
