//! `cargo +nightly fuzz run trace`: any bytes as a trace: its events or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ossicle_trace::Trace;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(trace) = Trace::read(bytes, None) {
        for (index, record) in trace.records.iter().enumerate() {
            let descriptor = trace.descriptor(record);
            assert!(record.values.as_ref().is_none_or(|values| values.values().len() == descriptor.len()));
            assert_eq!(record.has_values, record.values.is_some());
            assert!(trace.step_of(index).is_none_or(|step| step.first <= index));
        }
    }
});
