//! BTF, the kernel's description of its own types.
//!
//! A blob is scanned once. What is kept is the position of each type (4 bytes each) and the ids of the named ones
//! that can be asked for; names stay in the blob. Any bytes are safe to parse: see [`BtfError`].
//!
//! Format: `include/uapi/linux/btf.h` and Documentation/bpf/btf.rst of the kernel.

mod error;
mod member;
mod raw;
pub mod reduce;
#[cfg(test)]
mod tests;
mod write;

pub use error::BtfError;
pub use member::{BitField, Member};

use raw::{Kind, Sections, Type, size};

/// How many typedefs and qualifiers are followed before a chain counts as a cycle.
const CHAIN: usize = 64;

/// A parsed BTF blob: that of the kernel itself, or of a module on top of it.
#[derive(Debug)]
pub struct Btf<'a> {
    sections: Sections<'a>,
    base: Option<&'a Btf<'a>>,
    /// The id of this blob's first type, and the string offset of its first string.
    first_id: u32,
    first_string: u32,
    /// Where each type starts in the type section.
    offsets: Vec<u32>,
    structs: Vec<Named>,
    enums: Vec<Named>,
    typedefs: Vec<Named>,
}

/// A type with a name: where the name is, so that a search by name need not touch the type.
#[derive(Debug, Clone, Copy)]
struct Named {
    name: u32,
    id: u32,
}

/// A tracepoint's place in BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracepoint {
    /// The typedef `btf_trace_<name>`: what `BPF_PROG_LOAD` takes as `attach_btf_id`.
    pub type_id: u32,
    /// Number of arguments that a program sees (without the registration's `void *__data`).
    pub arguments: usize,
}

/// One enumerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator<'a> {
    /// Its name as in the source.
    pub name: &'a str,
    /// Its value; a 64-bit unsigned one above `i64::MAX` wraps.
    pub value: i64,
}

/// An enum with its enumerators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enum<'a> {
    /// Its name as in the source.
    pub name: &'a str,
    /// In the order of the source.
    pub values: Vec<Enumerator<'a>>,
}

impl<'a> Btf<'a> {
    /// Parses the kernel's own BTF (`/sys/kernel/btf/vmlinux`).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        Self::scan(bytes, None)
    }

    /// Parses a module's BTF (`/sys/kernel/btf/<module>`): its ids and string offsets continue the base's.
    pub fn parse_split(bytes: &'a [u8], base: &'a Btf<'a>) -> Result<Self, BtfError> {
        Self::scan(bytes, Some(base))
    }

    fn scan(bytes: &'a [u8], base: Option<&'a Btf<'a>>) -> Result<Self, BtfError> {
        let sections = Sections::parse(bytes)?;
        let (first_id, first_string) = base.map_or((1, 0), |base| (base.end_id(), base.end_string()));
        // An average record is 20 bytes long: enough for a kernel's blob without growing.
        let mut offsets = Vec::with_capacity(sections.types.len() / 20);
        let (mut structs, mut enums, mut typedefs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut id, mut at) = (first_id, 0);
        while at < sections.types.len() {
            let (record, next) = sections.record(id, at)?;
            let named = Named { name: record.name, id };
            match record.kind {
                _ if record.name == 0 => {}
                Kind::Struct | Kind::Union => structs.push(named),
                Kind::Enum | Kind::Enum64 => enums.push(named),
                Kind::Typedef => typedefs.push(named),
                _ => {}
            }
            offsets.push(u32::try_from(at).map_err(|_| BtfError::Header("it is larger than 4 GiB"))?);
            (id, at) = (id.saturating_add(1), next);
        }
        Ok(Self { sections, base, first_id, first_string, offsets, structs, enums, typedefs })
    }

    /// One more than the highest type id.
    fn end_id(&self) -> u32 {
        self.first_id.saturating_add(u32::try_from(self.offsets.len()).unwrap_or(u32::MAX))
    }

    fn end_string(&self) -> u32 {
        self.first_string.saturating_add(u32::try_from(self.sections.strings.len()).unwrap_or(u32::MAX))
    }

    /// The number of types in this blob, a base's not counted.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether the blob holds no types.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    fn by_id(&self, id: u32) -> Result<Type<'a>, BtfError> {
        if id == 0 {
            return Ok(Type::VOID);
        }
        match self.base {
            Some(base) if id < self.first_id => base.by_id(id),
            _ => {
                let missing = BtfError::Malformed { id, what: "is referred to but not there" };
                let index = id.checked_sub(self.first_id).ok_or_else(|| missing.clone())?;
                let at = self.offsets.get(size(index)).ok_or(missing)?;
                Ok(self.sections.record(id, size(*at))?.0)
            }
        }
    }

    /// The bytes from string offset `at` on: the name, its NUL, and what follows.
    fn string_at(&self, at: u32) -> &'a [u8] {
        match self.base {
            Some(base) if at < self.first_string => base.string_at(at),
            _ => self.sections.strings.get(size(at.saturating_sub(self.first_string))..).unwrap_or(&[]),
        }
    }

    fn name_is(&self, at: u32, name: &[u8]) -> bool {
        let string = self.string_at(at);
        string.get(name.len()) == Some(&0) && string.starts_with(name)
    }

    fn name(&self, id: u32, at: u32) -> Result<&'a str, BtfError> {
        let string = self.string_at(at);
        let end = string.iter().position(|byte| *byte == 0);
        let end = end.ok_or(BtfError::Malformed { id, what: "has a name outside the string section" })?;
        str::from_utf8(&string[..end])
            .map_err(|_| BtfError::Malformed { id, what: "has a name that is not UTF-8" })
    }

    /// Those of `types` that have the name.
    fn called(&self, types: &[Named], name: &str) -> impl Iterator<Item = u32> {
        types.iter().filter(move |one| self.name_is(one.name, name.as_bytes())).map(|one| one.id)
    }

    /// Follows typedefs and qualifiers to the type itself.
    fn resolve(&self, id: u32) -> Result<Type<'a>, BtfError> {
        let mut record = self.by_id(id)?;
        for _ in 0..CHAIN {
            if !matches!(record.kind, Kind::Typedef | Kind::Modifier) {
                return Ok(record);
            }
            record = self.by_id(record.size_or_id)?;
        }
        Err(BtfError::Malformed { id, what: "is a chain of typedefs without end" })
    }

    /// Finds a tracepoint by its name.
    pub fn tracepoint(&self, name: &str) -> Result<Tracepoint, BtfError> {
        let typedef = format!("btf_trace_{name}");
        let mut found = self.called(&self.typedefs, &typedef).map(|id| self.prototype(id));
        let first = found.next().ok_or_else(|| BtfError::NoTracepoint(name.into()))??;
        for other in found {
            if other?.arguments != first.arguments {
                return Err(BtfError::Ambiguous {
                    structure: typedef.as_str().into(),
                    path: "prototype".into(),
                });
            }
        }
        Ok(first)
    }

    /// `typedef void (*btf_trace_x)(void *__data, …)`.
    fn prototype(&self, type_id: u32) -> Result<Tracepoint, BtfError> {
        let malformed = |what| BtfError::Malformed { id: type_id, what };
        let pointer = self.resolve(type_id)?;
        if pointer.kind != Kind::Pointer {
            return Err(malformed("is a tracepoint's typedef but no pointer"));
        }
        let prototype = self.resolve(pointer.size_or_id)?;
        if prototype.kind != Kind::Prototype {
            return Err(malformed("is a tracepoint's typedef but points to no function"));
        }
        let arguments = size(prototype.elements).checked_sub(1);
        let arguments =
            arguments.ok_or(malformed("is a tracepoint's prototype without its first parameter"))?;
        Ok(Tracepoint { type_id, arguments })
    }

    /// The type id of a function of that name, static ones included.
    pub fn function(&self, name: &str) -> Option<u32> {
        let is_it = |at: &u32| {
            self.sections.record(0, size(*at)).is_ok_and(|(record, _)| {
                record.kind == Kind::Function && self.name_is(record.name, name.as_bytes())
            })
        };
        let index = self.offsets.iter().position(is_it)?;
        u32::try_from(index).ok().map(|index| self.first_id.saturating_add(index))
    }

    /// The type id of the struct of that name; `None` too where several have it.
    pub fn structure(&self, name: &str) -> Option<u32> {
        let mut found = self.called(&self.structs, name);
        found.next().filter(|_| found.next().is_none())
    }

    /// The enumerators of the (first) enum of that name.
    pub fn enum_values(&self, name: &str) -> Result<Vec<Enumerator<'a>>, BtfError> {
        let id = self.called(&self.enums, name).next().ok_or_else(|| BtfError::NoEnum(name.into()))?;
        self.enumerators(id)
    }

    /// Every enum of this blob (a base's not counted) whose name ends with `suffix`.
    pub fn enums_ending_with(&self, suffix: &str) -> Result<Vec<Enum<'a>>, BtfError> {
        let mut enums = Vec::new();
        for one in &self.enums {
            let name = self.name(one.id, one.name)?;
            if name.ends_with(suffix) {
                enums.push(Enum { name, values: self.enumerators(one.id)? });
            }
        }
        Ok(enums)
    }

    fn enumerators(&self, id: u32) -> Result<Vec<Enumerator<'a>>, BtfError> {
        let record = self.by_id(id)?;
        let named = |name, value| Ok(Enumerator { name: self.name(record.id, name)?, value });
        if record.kind == Kind::Enum64 {
            let value = |low: u32, high: u32| (u64::from(high) << 32 | u64::from(low)).cast_signed();
            return record.words().map(|[name, low, high]| named(name, value(low, high))).collect();
        }
        let value = |bits: u32| if record.flag { i64::from(bits.cast_signed()) } else { i64::from(bits) };
        record.words().map(|[name, bits]| named(name, value(bits))).collect()
    }
}
