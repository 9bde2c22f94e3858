//! Writes BTF: for reduced blobs and for tests. The counterpart of [`super::raw`].

use std::collections::HashMap;

/// A position in the type section, as BTF numbers it.
pub(super) type Id = u32;

/// `BTF_KIND_*` numbers of what is written.
pub(super) mod kind {
    pub const INT: u32 = 1;
    pub const POINTER: u32 = 2;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const PROTOTYPE: u32 = 13;
    pub const ENUM64: u32 = 19;
}

/// Collects records and interned strings.
pub(super) struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    interned: HashMap<String, u32>,
    first_string: u32,
    next: Id,
}

impl Writer {
    /// A blob of its own.
    pub(super) fn new() -> Self {
        Self::after(1, 0)
    }

    /// A module's blob, whose ids and string offsets continue a base's.
    pub(super) fn after(first_id: Id, first_string: u32) -> Self {
        let interned = HashMap::from([(String::new(), 0)]);
        Self { types: Vec::new(), strings: vec![0], interned, first_string, next: first_id }
    }

    /// The id that the next type will get.
    pub(super) fn next(&self) -> Id {
        self.next
    }

    pub(super) fn string(&mut self, name: &str) -> u32 {
        if let Some(at) = self.interned.get(name) {
            return *at;
        }
        let at = self.first_string + narrow(self.strings.len());
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        self.interned.insert(name.to_owned(), at);
        at
    }

    /// Appends a type; `tail` holds the words behind the record.
    pub(super) fn record(&mut self, name: &str, info: Info, size_or_type: u32, tail: &[u32]) -> Id {
        let name = self.string(name);
        let info = u32::from(info.flag) << 31 | info.kind << 24 | info.elements;
        for word in [name, info, size_or_type].iter().chain(tail) {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
        let id = self.next;
        self.next += 1;
        id
    }

    /// The finished blob.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(24 + self.types.len() + self.strings.len());
        blob.extend_from_slice(&0xeb9f_u16.to_ne_bytes());
        blob.extend_from_slice(&[1, 0]);
        let types = narrow(self.types.len());
        for word in [24, 0, types, types, narrow(self.strings.len())] {
            blob.extend_from_slice(&word.to_ne_bytes());
        }
        blob.extend_from_slice(&self.types);
        blob.extend_from_slice(&self.strings);
        blob
    }
}

/// The `info` word of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Info {
    pub kind: u32,
    pub elements: u32,
    pub flag: bool,
}

impl Info {
    pub(super) fn new(kind: u32, elements: usize) -> Self {
        Self { kind, elements: narrow(elements), flag: false }
    }

    pub(super) fn flagged(self, flag: bool) -> Self {
        Self { flag, ..self }
    }
}

/// Sections are far below 4 GiB: they are cut out of blobs that were parsed.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
