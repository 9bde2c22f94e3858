//! What can be wrong with BTF, or with a question asked of it.

/// Why a BTF blob, or a look-up in it, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The header is not one of BTF's.
    #[error("not BTF: {0}")]
    Header(&'static str),
    /// A section or a record reaches past the end of the bytes.
    #[error("BTF is cut short inside its {0}")]
    Truncated(&'static str),
    /// A type kind newer than this reader, in a blob that does not describe its own record sizes.
    #[error("BTF type {id} is of kind {kind}, which this netdrop does not know; a newer one may")]
    UnknownKind {
        /// The type's id.
        id: u32,
        /// `BTF_INFO_KIND` of the record.
        kind: u32,
    },
    /// A record contradicts the format.
    #[error("BTF type {id} {what}")]
    Malformed {
        /// The type's id.
        id: u32,
        /// What is wrong with it, as the rest of a sentence.
        what: &'static str,
    },
    /// No struct or union of that name.
    #[error("no struct `{0}` in this BTF")]
    NoStruct(Box<str>),
    /// No enum of that name.
    #[error("no enum `{0}` in this BTF")]
    NoEnum(Box<str>),
    /// The struct is there, the member is not.
    #[error("struct `{structure}` has no member `{path}` in this BTF")]
    NoMember {
        /// The struct asked for.
        structure: Box<str>,
        /// The member path asked for.
        path: Box<str>,
    },
    /// The member is a bit-field: it has no byte offset.
    #[error("`{structure}.{path}` is a bit-field and can't be read as a whole number of bytes")]
    BitField {
        /// The struct asked for.
        structure: Box<str>,
        /// The member path asked for.
        path: Box<str>,
    },
    /// The name stands for more than one thing, at different places.
    #[error("`{structure}.{path}` is ambiguous: this BTF has it at more than one place")]
    Ambiguous {
        /// The struct (or typedef) asked for.
        structure: Box<str>,
        /// The member path asked for.
        path: Box<str>,
    },
    /// A path goes on behind something that is neither a struct nor a union.
    #[error("`{structure}.{path}` goes through a member that is not an embedded struct or union")]
    NotComposite {
        /// The struct asked for.
        structure: Box<str>,
        /// The member path asked for.
        path: Box<str>,
    },
    /// Anonymous members nest deeper, or wider, than any real struct: a cycle, or hostile bytes.
    #[error("`{structure}.{path}`: the struct nests without end")]
    Endless {
        /// The struct asked for.
        structure: Box<str>,
        /// The member path asked for.
        path: Box<str>,
    },
    /// The kernel has no such tracepoint, or no BTF for it.
    #[error("no tracepoint `{0}` in this BTF")]
    NoTracepoint(Box<str>),
}
