//! From the committed object to maps and a program in the kernel.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use aya::maps::{Map, MapData, MapError};
use aya_obj::{EbpfSectionKind, Object};
use netdrop_common::placeholder::{LAYOUT, LOAD, SETTINGS};
use netdrop_common::{Counter, MAX_PIECES, OverflowKey, Piece, bytes_of, words_of};

use super::owners::OwnerMap;
use super::patch::{Numbers, STORES_ORDERED, patch};
use super::program::{self, Program};
use super::ring::Geometry;
use super::{Attach, Kernel, Options, ProbeError, sys};
use crate::filter::MAX_OWNERS;
use crate::packed::{self, packed};

/// Built by `cargo xtask ebpf` from netdrop-ebpf; `netdrop.bpf.toml` beside it says from what.
static OBJECT: &[u8] = packed!("netdrop.bpf.o");

/// Counters in the shared table: for a few CPUs, and more per CPU beyond.
const COUNTERS_MIN: u32 = 16384;
const COUNTERS_PER_CPU: u32 = 1024;
/// Different call chains; each takes 1 KiB of the kernel's memory.
const STACKS: u32 = 16384;
/// The map of the traps' names.
const TRAPS: &str = "TRAPS";

/// What [`load`] gives.
pub struct Loaded {
    pub program: OwnedFd,
    /// The program for traps and its table of their names, where it is wanted; why it isn't there.
    pub traps: Option<Result<(OwnedFd, MapData), ProbeError>>,
    /// The program for the reasons of queueing disciplines, likewise.
    pub qdisc: Option<Result<OwnedFd, ProbeError>>,
    pub cpus: MapData,
    pub counters: aya::maps::HashMap<MapData, Words<4>, Words<8>>,
    pub rings: MapData,
    pub geometry: Geometry,
    pub stacks: MapData,
    pub owners: OwnerMap,
}

/// A plain struct as 64-bit words: what aya can move without knowing it.
pub type Words<const N: usize> = [u64; N];
const _: () = assert!(size_of::<OverflowKey>() == 32 && size_of::<Counter>() == 64);

/// Loads the program for `attach` with the kernel's numbers patched in.
pub fn load(attach: Attach, kernel: &Kernel, options: &Options) -> Result<Loaded, ProbeError> {
    let mut object = Object::parse(&packed::bytes(OBJECT)).map_err(damaged)?;
    let traps = options.hardware && kernel.has_traps();
    if !traps {
        forget(&mut object, Program::Trap);
    }
    if kernel.qdisc_drop.is_none() {
        forget(&mut object, Program::Qdisc);
    }
    let cpus = cpu_count()?;
    let states = cpus * kernel.levels() + if traps { cpus } else { 0 };
    let geometry = Geometry::new(options.ring, options.record_bytes(), states);
    let settings = options.settings(kernel, &geometry, cpus);
    let layout = words_of(&kernel.layout);
    let numbers = Numbers {
        immediates: &[(LAYOUT, layout), (SETTINGS, words_of(&settings))],
        loads: &[(LOAD, layout)],
        cast: kernel.cast.map(|cast| cast.function),
        stores_ordered: STORES_ORDERED,
    };
    patch(&mut object, &numbers);
    let statics = HashMap::from([
        ("FILTER", (bytes_of(&*options.filter), true)),
        ("AYA_LOG_LEVEL", (std::slice::from_ref(&options.log_level), false)),
    ]);
    object.patch_map_data(statics).map_err(damaged)?;
    let mut maps = create_maps(&mut object, states, &geometry, options)?;
    relocate(&mut object, &maps)?;
    fill_reasons(&maps, options)?;
    fill_sites(&maps, options)?;
    let program = load_program(&object, Program::of(attach, kernel.tracepoint_type_id))?;
    let qdisc = kernel.qdisc_drop.map(|_| load_program(&object, Program::Qdisc));
    let trap = traps.then(|| load_program(&object, Program::Trap));
    let mut take = |name: &str| maps.remove(name).map(|(_, map)| map).ok_or_else(|| missing(name));
    let mut owners = OwnerMap::new(take("OWNERS")?);
    owners.set(&options.owners)?;
    Ok(Loaded {
        program,
        traps: trap.map(|program| Ok((program?, take(TRAPS)?))),
        qdisc,
        owners,
        cpus: take("CPUS")?,
        counters: Map::HashMap(take("COUNTERS")?).try_into().map_err(unexpected)?,
        rings: take("RINGS")?,
        stacks: take("STACKS")?,
        geometry,
    })
}

pub(super) fn load_program(object: &Object, program: Program) -> Result<OwnedFd, ProbeError> {
    let function = object
        .programs
        .get(program.name())
        .and_then(|program| object.functions.get(&program.function_key()))
        .ok_or_else(|| ProbeError::Object(format!("no program `{}`", program.name())))?;
    program::load(program, &function.instructions, &object.license)
}

/// Leaves a program out, so that nothing that it alone needs is made.
pub(super) fn forget(object: &mut Object, program: Program) {
    if let Some(program) = object.programs.remove(program.name()) {
        object.functions.remove(&program.function_key());
    }
}

const PIECE: u32 = 16;
const _: () = assert!(size_of::<Piece>() == PIECE as usize);

pub(super) type Maps = HashMap<String, (aya_obj::Map, MapData)>;

fn create_maps(
    object: &mut Object,
    states: u32,
    geometry: &Geometry,
    options: &Options,
) -> Result<Maps, ProbeError> {
    let mut maps = Maps::new();
    let traps = object.programs.contains_key(Program::Trap.name());
    for (name, mut definition) in object.maps.drain() {
        match name.as_str() {
            TRAPS if !traps => continue,
            "REASONS" => {
                definition.set_max_entries(u32::try_from(options.reasons.len()).unwrap_or(u32::MAX).max(1));
            }
            "STACKS" => definition.set_max_entries(if options.stacks { STACKS } else { 1 }),
            "OWNERS" => definition.set_max_entries(if options.filter.owners == 0 { 1 } else { MAX_OWNERS }),
            "SITES" if options.filter.sites == 0 => definition.set_value_size(PIECE),
            "CPUS" => definition.set_max_entries(states),
            "COUNTERS" => definition.set_max_entries(COUNTERS_MIN.max(states * COUNTERS_PER_CPU)),
            "RINGS" => {
                definition.set_max_entries(states);
                definition.set_value_size(geometry.ring_bytes());
            }
            _ => {}
        }
        let map = MapData::create(definition.clone(), &name, None)
            .map_err(|error| refused(&name, geometry, error))?;
        if definition.section_kind() == EbpfSectionKind::Rodata {
            freeze(&definition, &map).map_err(|error| ProbeError::Map { name: name.clone(), error })?;
        }
        maps.insert(name, (definition, map));
    }
    Ok(maps)
}

pub(super) fn freeze(definition: &aya_obj::Map, map: &MapData) -> io::Result<()> {
    sys::map_update(map.fd(), &0_u32.to_ne_bytes(), definition.data())?;
    sys::map_freeze(map.fd())
}

pub(super) fn relocate(object: &mut Object, maps: &Maps) -> Result<(), ProbeError> {
    let text_sections = object.functions.keys().map(|(section, _)| *section).collect();
    let descriptors = maps
        .iter()
        .map(|(name, (definition, map))| (name.as_str(), map.fd().as_fd().as_raw_fd(), definition));
    object.relocate_maps(descriptors, &text_sections).map_err(damaged)?;
    object.relocate_calls(&text_sections).map_err(damaged)
}

fn fill_reasons(maps: &Maps, options: &Options) -> Result<(), ProbeError> {
    let (_, map) = maps.get("REASONS").ok_or_else(|| missing("REASONS"))?;
    for (reason, verdict) in &options.reasons {
        sys::map_update(map.fd(), &reason.to_ne_bytes(), &verdict.to_ne_bytes())
            .map_err(|error| ProbeError::Map { name: "REASONS".into(), error })?;
    }
    Ok(())
}

fn fill_sites(maps: &Maps, options: &Options) -> Result<(), ProbeError> {
    if options.filter.sites == 0 {
        return Ok(());
    }
    let (_, map) = maps.get("SITES").ok_or_else(|| missing("SITES"))?;
    let padding = Piece { start: u64::MAX, verdict: 0 };
    let pieces = options.sites.iter().chain(std::iter::repeat(&padding)).take(MAX_PIECES);
    let bytes: Vec<u8> = pieces.flat_map(bytes_of).copied().collect();
    sys::map_update(map.fd(), &0_u32.to_ne_bytes(), &bytes)
        .map_err(|error| ProbeError::Map { name: "SITES".into(), error })
}

/// CPUs that may ever come up: numbers in the program are below it.
pub(super) fn cpu_count() -> Result<u32, ProbeError> {
    let cpus = aya::util::nr_cpus().map_err(|(what, error)| ProbeError::Read { what, error })?;
    Ok(u32::try_from(cpus).unwrap_or(u32::MAX))
}

fn refused(name: &str, geometry: &Geometry, error: MapError) -> ProbeError {
    let error = match error {
        MapError::CreateError { io_error, .. } => io_error,
        other => io::Error::other(other),
    };
    if name == "RINGS" {
        ProbeError::Ring { rings: geometry.rings, bytes: geometry.ring_bytes(), error }
    } else {
        ProbeError::Map { name: name.into(), error }
    }
}

pub(super) fn missing(name: &str) -> ProbeError {
    ProbeError::Object(format!("no map `{name}`"))
}

pub(super) fn damaged(error: impl std::error::Error) -> ProbeError {
    ProbeError::Object(error.to_string())
}

pub(super) fn unexpected(error: MapError) -> ProbeError {
    ProbeError::Read { what: "a map", error: io::Error::other(error) }
}
