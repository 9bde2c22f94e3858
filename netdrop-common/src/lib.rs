//! What the eBPF program and user space agree on: map keys, counters, events, filter constants.
#![no_std]
