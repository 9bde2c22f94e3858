//! Cuts a kernel's BTF down to the types that netdrop asks about, for use as a test fixture.
//!
//! Kept are whole structs (every member with its offset and size; embedded structs only where a path leads through
//! them), enums by the end of their name, and tracepoints. Type ids change; the answers to look-ups don't.

use super::raw::{Kind, Type};
use super::write::{Info, Writer, kind};
use super::{Btf, BtfError};
use crate::kernel::tcp::TcpTracepoint;

/// What a reduced blob must still answer.
#[derive(Debug, Clone, Copy)]
pub struct Keep<'k> {
    /// Structs, and the member paths that lead into embedded structs.
    pub members: &'k [(&'k str, &'k str)],
    /// Enums whose name ends so.
    pub enum_suffixes: &'k [&'k str],
    /// Tracepoints, by name.
    pub tracepoints: &'k [&'k str],
}

impl Keep<'_> {
    /// Runs `use_it` with what netdrop's own loader asks for.
    pub fn with_netdrops_own<T>(use_it: impl FnOnce(Keep) -> T) -> T {
        let mut members = crate::kernel::layout::wanted_members();
        members.push(("sk_buff", "vlan_present"));
        members.extend(crate::kernel::tcp::wanted_members());
        let enums = [crate::kernel::reasons::ENUM_SUFFIXES, &[crate::kernel::tcp::RESET_REASONS]].concat();
        let tracepoints: Vec<_> =
            ["kfree_skb"].into_iter().chain(TcpTracepoint::ALL.map(TcpTracepoint::name)).collect();
        use_it(Keep { members: &members, enum_suffixes: &enums, tracepoints: &tracepoints })
    }
}

/// Reduces a kernel's BTF.
pub fn reduce(bytes: &[u8], keep: Keep) -> Result<Vec<u8>, BtfError> {
    let btf = Btf::parse(bytes)?;
    let mut reducer = Reducer { btf: &btf, out: Writer::new() };
    reducer.structs(keep.members)?;
    reducer.enums(keep.enum_suffixes)?;
    for name in keep.tracepoints {
        reducer.tracepoint(name)?;
    }
    Ok(reducer.out.finish())
}

/// Reduces a module's BTF to its enums, to be read on top of `reduced_base`.
pub fn reduce_module(
    bytes: &[u8],
    base: &[u8],
    reduced_base: &[u8],
    enum_suffixes: &[&str],
) -> Result<Vec<u8>, BtfError> {
    let (base, reduced_base) = (Btf::parse(base)?, Btf::parse(reduced_base)?);
    let btf = Btf::parse_split(bytes, &base)?;
    let out = Writer::after(reduced_base.end_id(), reduced_base.end_string());
    let mut reducer = Reducer { btf: &btf, out };
    reducer.enums(enum_suffixes)?;
    Ok(reducer.out.finish())
}

/// Structs nest no deeper, and a reduced blob holds no more types, unless the bytes are hostile.
const DEPTH: u32 = 16;
const TYPES: u32 = 1 << 16;

struct Reducer<'a> {
    btf: &'a Btf<'a>,
    out: Writer,
}

impl<'a> Reducer<'a> {
    fn structs(&mut self, members: &[(&str, &str)]) -> Result<(), BtfError> {
        let mut names: Vec<&str> = members.iter().map(|(structure, _)| *structure).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let paths: Vec<&str> =
                members.iter().filter(|(structure, _)| *structure == name).map(|(_, path)| *path).collect();
            for id in self.btf.called(&self.btf.structs, name) {
                self.composite(self.btf.by_id(id)?, &paths, 0)?;
            }
        }
        Ok(())
    }

    /// Writes a struct after the types of its members; `paths` say which members to look into.
    fn composite(&mut self, record: Type<'a>, paths: &[&str], depth: u32) -> Result<u32, BtfError> {
        if depth > DEPTH || self.out.next() > TYPES {
            return Err(BtfError::Malformed { id: record.id, what: "nests without end" });
        }
        let mut tail = Vec::new();
        for [name_at, type_id, position] in record.words::<3>() {
            let name = self.btf.name(record.id, name_at)?;
            let inner = self.btf.resolve(type_id)?;
            let into: Vec<&str> = if name.is_empty() {
                paths.to_vec()
            } else {
                paths.iter().filter_map(|path| path.strip_prefix(name)?.strip_prefix('.')).collect()
            };
            let embedded = inner.kind.is_composite() && (name.is_empty() || !into.is_empty());
            let id = if embedded { self.composite(inner, &into, depth + 1)? } else { self.leaf(inner)? };
            tail.extend([self.out.string(name), id, position]);
        }
        let number = if record.kind == Kind::Union { kind::UNION } else { kind::STRUCT };
        let info = Info::new(number, tail.len() / 3).flagged(record.flag);
        let name = self.btf.name(record.id, record.name)?;
        Ok(self.out.record(name, info, record.size_or_id, &tail))
    }

    /// A nameless stand-in of the same size; integers keep their encoding, which old bit-fields need.
    fn leaf(&mut self, record: Type<'a>) -> Result<u32, BtfError> {
        let (number, value, tail) = match record.kind {
            Kind::Pointer => (kind::POINTER, 0, Vec::new()),
            Kind::Int => (kind::INT, record.size_or_id, record.words::<1>().flatten().collect()),
            _ => (kind::STRUCT, self.btf.size_of(record.id)?, Vec::new()),
        };
        Ok(self.out.record("", Info::new(number, 0), value, &tail))
    }

    fn enums(&mut self, suffixes: &[&str]) -> Result<(), BtfError> {
        for one in &self.btf.enums {
            let name = self.btf.name(one.id, one.name)?;
            if !suffixes.iter().any(|suffix| name.ends_with(suffix)) {
                continue;
            }
            let record = self.btf.by_id(one.id)?;
            let mut tail = Vec::new();
            let words = if record.kind == Kind::Enum64 { 3 } else { 2 };
            for (at, word) in record.words::<1>().flatten().enumerate() {
                let is_name = at % words == 0;
                let name = is_name.then(|| self.btf.name(record.id, word)).transpose()?;
                tail.push(name.map_or(word, |name| self.out.string(name)));
            }
            let number = if record.kind == Kind::Enum64 { kind::ENUM64 } else { kind::ENUM };
            let info = Info::new(number, tail.len() / words).flagged(record.flag);
            self.out.record(name, info, record.size_or_id, &tail);
        }
        Ok(())
    }

    fn tracepoint(&mut self, name: &str) -> Result<(), BtfError> {
        let arguments = self.btf.tracepoint(name)?.arguments;
        let pointer = self.out.record("", Info::new(kind::POINTER, 0), 0, &[]);
        let parameters = vec![[0, pointer]; arguments + 1].concat();
        let prototype = self.out.record("", Info::new(kind::PROTOTYPE, arguments + 1), 0, &parameters);
        let pointer = self.out.record("", Info::new(kind::POINTER, 0), prototype, &[]);
        self.out.record(&format!("btf_trace_{name}"), Info::new(kind::TYPEDEF, 0), pointer, &[]);
        Ok(())
    }
}
