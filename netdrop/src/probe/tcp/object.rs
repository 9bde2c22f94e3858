//! From the committed object to maps and programs in the kernel.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use aya::maps::{MapData, MapError};
use aya_obj::{EbpfSectionKind, Object};
use netdrop_common::placeholder::{LAYOUT, LOAD, TCP_LAYOUT, TCP_LOAD, TCP_SETTINGS};
use netdrop_common::{bytes_of, words_of};

use super::TcpOptions;
use super::counts::{Cpus, Transitions};
use super::rtt::Rtt;
use crate::filter::MAX_OWNERS;
use crate::kernel::tcp::{TcpKernel, TcpTracepoint};
use crate::packed::{self, packed};
use crate::probe::object::{Maps, cpu_count, damaged, forget, freeze, load_program, missing, relocate};
use crate::probe::patch::{Numbers, STORES_ORDERED, patch};
use crate::probe::program::Program;
use crate::probe::{Attach, OwnerMap, ProbeError};

/// Built by `cargo xtask ebpf` from netdrop-ebpf's `tcp`; `netdrop.bpf.toml` beside it says from what.
static OBJECT: &[u8] = packed!("tcp.bpf.o");

/// The least that a ring buffer may be (`ringbuf_map_alloc`).
const PAGE: u32 = 4096;
const RING_MAX: u32 = 1 << 30;

/// What [`load`] gives.
pub struct Loaded {
    pub programs: Vec<(TcpTracepoint, OwnedFd)>,
    pub cpus: Cpus,
    pub transitions: Transitions,
    pub rtt: Rtt,
    pub events: MapData,
    pub owners: OwnerMap,
}

/// Loads the programs that the options ask for, with the kernel's numbers patched in.
pub fn load(attach: Attach, kernel: &TcpKernel, options: &TcpOptions) -> Result<Loaded, ProbeError> {
    let mut object = Object::parse(&packed::bytes(OBJECT)).map_err(damaged)?;
    let wanted = options.tracepoints();
    let program = |tracepoint: TcpTracepoint, typed: bool| {
        let found = kernel.tracepoints.get(&tracepoint);
        Program::Tcp(tracepoint, typed.then(|| found.map_or(0, |found| found.type_id)))
    };
    let typed = attach != Attach::Raw;
    forget(&mut object, program(TcpTracepoint::Probe, !typed));
    for tracepoint in TcpTracepoint::ALL.into_iter().filter(|one| !wanted.contains(one)) {
        forget(&mut object, program(tracepoint, typed));
    }
    let settings = options.settings(kernel);
    let (shared, layout) = (words_of(&kernel.shared), words_of(&kernel.layout));
    let numbers = Numbers {
        immediates: &[(LAYOUT, shared), (TCP_LAYOUT, layout), (TCP_SETTINGS, words_of(&settings))],
        loads: &[(LOAD, shared), (TCP_LOAD, layout)],
        cast: kernel.cast.map(|cast| cast.function),
        stores_ordered: STORES_ORDERED,
    };
    patch(&mut object, &numbers);
    let statics = HashMap::from([("FILTER", (bytes_of(&*options.filter), true))]);
    object.patch_map_data(statics).map_err(damaged)?;
    let cpus = cpu_count()?;
    let mut maps = create_maps(&mut object, cpus, options)?;
    relocate(&mut object, &maps)?;
    let load =
        |tracepoint: &TcpTracepoint| Ok((*tracepoint, load_program(&object, program(*tracepoint, typed))?));
    let programs = wanted.iter().map(load).collect::<Result<_, ProbeError>>()?;
    let mut take = |name: &str| maps.remove(name).map(|(_, map)| map).ok_or_else(|| missing(name));
    let mut owners = OwnerMap::new(take("OWNERS")?);
    owners.set(&options.owners)?;
    Ok(Loaded {
        programs,
        cpus: Cpus::map(take("TCP_CPUS")?, cpus)?,
        transitions: Transitions::new(take("TCP_TRANSITIONS")?, cpus),
        rtt: Rtt::new(take("TCP_RTT")?, cpus, options.rtt.is_some())?,
        events: take("TCP_EVENTS")?,
        owners,
    })
}

fn create_maps(object: &mut Object, cpus: u32, options: &TcpOptions) -> Result<Maps, ProbeError> {
    let mut maps = Maps::new();
    for (name, mut definition) in object.maps.drain() {
        let entries = match name.as_str() {
            "TCP_CPUS" => Some(cpus),
            "TCP_EVENTS" => Some(options.ring_bytes.clamp(PAGE, RING_MAX).next_power_of_two()),
            "TCP_SOCKETS" => Some(if options.tracks() { options.connections.max(1) } else { 1 }),
            "TCP_RTT" => Some(options.rtt.map_or(1, |rtt| rtt.histograms.max(2 * cpus) + 2 * cpus)),
            "OWNERS" => Some(if options.filter.owners == 0 { 1 } else { MAX_OWNERS }),
            _ => None,
        };
        if let Some(entries) = entries {
            definition.set_max_entries(entries);
        }
        let map = MapData::create(definition.clone(), &name, None).map_err(|error| {
            let error = match error {
                MapError::CreateError { io_error, .. } => io_error,
                other => std::io::Error::other(other),
            };
            ProbeError::Map { name: name.clone(), error }
        })?;
        if definition.section_kind() == EbpfSectionKind::Rodata {
            freeze(&definition, &map).map_err(|error| ProbeError::Map { name: name.clone(), error })?;
        }
        maps.insert(name, (definition, map));
    }
    Ok(maps)
}
