//! Where a struct keeps a member: paths through embedded, anonymous and qualified types.

use super::raw::{Kind, Type, word};
use super::{Btf, BtfError, CHAIN};

/// Members looked at for one path. `sk_buff` has about 250 with all its anonymous nests.
const BUDGET: usize = 1 << 14;

/// The kernel's pointers; netdrop runs on 64-bit kernels.
const POINTER_BYTES: u64 = 8;

/// A member's place in its struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Bytes from the start of the struct that was asked for.
    pub offset: u32,
    /// Bytes that the member takes, arrays as a whole.
    pub size: u32,
    /// Its declared type.
    pub type_id: u32,
}

/// A bit-field's place in its struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitField {
    /// Bits from the start of the struct that was asked for.
    pub offset: u32,
    /// Number of bits.
    pub width: u32,
}

#[derive(Clone, Copy)]
struct Place {
    bit: u64,
    /// Width in bits, of a bit-field only.
    width: Option<u32>,
    type_id: u32,
}

/// A question, as it appears in an error.
#[derive(Clone, Copy)]
struct Question<'q> {
    structure: &'q str,
    path: &'q str,
}

impl Question<'_> {
    fn missing(self) -> BtfError {
        BtfError::NoMember { structure: self.structure.into(), path: self.path.into() }
    }
    fn ambiguous(self) -> BtfError {
        BtfError::Ambiguous { structure: self.structure.into(), path: self.path.into() }
    }
    fn bit_field(self) -> BtfError {
        BtfError::BitField { structure: self.structure.into(), path: self.path.into() }
    }
    fn not_composite(self) -> BtfError {
        BtfError::NotComposite { structure: self.structure.into(), path: self.path.into() }
    }
    fn endless(self) -> BtfError {
        BtfError::Endless { structure: self.structure.into(), path: self.path.into() }
    }
}

impl<'a> Btf<'a> {
    /// Finds one member, `btf.member("sock", "__sk_common.skc_net.net")`.
    ///
    /// A path crosses anonymous structs and unions by itself, and embedded ones at each dot; never a pointer.
    /// Where two structs share the name, those without the member are passed over, and the others must agree.
    pub fn member(&self, structure: &str, path: &str) -> Result<Member, BtfError> {
        self.members(&[(structure, path)]).pop().unwrap_or_else(|| Err(BtfError::NoStruct(structure.into())))
    }

    /// Finds many members in one pass over the names; the answers are in the order of the questions.
    pub fn members(&self, questions: &[(&str, &str)]) -> Vec<Result<Member, BtfError>> {
        self.places(questions)
            .into_iter()
            .zip(questions)
            .map(|(place, (structure, path))| self.whole_bytes(place?, Question { structure, path }))
            .collect()
    }

    /// Finds one bit-field.
    ///
    /// # Errors
    /// As [`Btf::member`], and `NoMember` when there is a member of that name that is no bit-field.
    pub fn bit_field(&self, structure: &str, path: &str) -> Result<BitField, BtfError> {
        let question = Question { structure, path };
        let place = self.places(&[(structure, path)]).pop().unwrap_or_else(|| Err(question.missing()))?;
        let width = place.width.ok_or_else(|| question.missing())?;
        let offset = u32::try_from(place.bit).map_err(|_| question.endless())?;
        Ok(BitField { offset, width })
    }

    fn places(&self, questions: &[(&str, &str)]) -> Vec<Result<Place, BtfError>> {
        let mut names: Vec<&str> = questions.iter().map(|(structure, _)| *structure).collect();
        names.sort_unstable();
        names.dedup();
        let candidates = self.composites(&names);
        let answer = |&(structure, path): &(&str, &str)| {
            let found = names.binary_search(&structure).map_or(&[][..], |at| candidates[at].as_slice());
            self.agreed(found, Question { structure, path })
        };
        questions.iter().map(answer).collect()
    }

    /// The ids of the structs and unions of each name, in one pass.
    fn composites(&self, names: &[&str]) -> Vec<Vec<u32>> {
        let mut found = vec![Vec::new(); names.len()];
        for one in &self.structs {
            let string = self.string_at(one.name);
            for (name, found) in names.iter().zip(&mut found) {
                if string.starts_with(name.as_bytes()) && string.get(name.len()) == Some(&0) {
                    found.push(one.id);
                }
            }
        }
        found
    }

    /// The one place on which all candidates that have the member agree.
    fn agreed(&self, candidates: &[u32], question: Question) -> Result<Place, BtfError> {
        if candidates.is_empty() {
            return Err(BtfError::NoStruct(question.structure.into()));
        }
        let mut agreed: Option<Place> = None;
        for candidate in candidates {
            match (self.walk(*candidate, question), agreed) {
                (Ok(place), None) => agreed = Some(place),
                (Ok(place), Some(other)) if self.alike(place, other) => {}
                (Ok(_), Some(_)) => return Err(question.ambiguous()),
                (Err(BtfError::NoMember { .. }), _) => {}
                (Err(error), _) => return Err(error),
            }
        }
        agreed.ok_or_else(|| question.missing())
    }

    fn alike(&self, one: Place, other: Place) -> bool {
        let bytes = |place: Place| self.size_of(place.type_id).ok();
        one.bit == other.bit && one.width == other.width && bytes(one) == bytes(other)
    }

    fn walk(&self, structure: u32, question: Question) -> Result<Place, BtfError> {
        let mut place = Place { bit: 0, width: None, type_id: structure };
        for name in question.path.split('.') {
            let composite = self.resolve(place.type_id)?;
            if !composite.kind.is_composite() || place.width.is_some() {
                return Err(question.not_composite());
            }
            place = self.child(composite, place.bit, name, question)?;
        }
        Ok(place)
    }

    /// The member `name` of a struct, or of the anonymous structs and unions inside it.
    fn child(
        &self,
        structure: Type<'a>,
        bit: u64,
        name: &str,
        question: Question,
    ) -> Result<Place, BtfError> {
        let mut found = None;
        let mut nests = vec![(structure, bit)];
        let mut budget = BUDGET;
        while let Some((composite, start)) = nests.pop() {
            for [member, type_id, position] in composite.words::<3>() {
                budget = budget.checked_sub(1).ok_or_else(|| question.endless())?;
                let anonymous = self.name_is(member, b"");
                if !anonymous && !self.name_is(member, name.as_bytes()) {
                    continue;
                }
                let place = self.place(composite, start, type_id, position)?;
                if anonymous {
                    let inner = self.resolve(type_id)?;
                    if inner.kind.is_composite() && place.width.is_none() {
                        nests.push((inner, place.bit));
                    }
                } else if found.replace(place).is_some() {
                    return Err(question.ambiguous());
                }
            }
        }
        found.ok_or_else(|| question.missing())
    }

    fn place(&self, composite: Type, start: u64, type_id: u32, position: u32) -> Result<Place, BtfError> {
        let (width, bit) = if composite.flag {
            (Some(position >> 24).filter(|width| *width != 0), position & 0x00ff_ffff)
        } else {
            self.old_bit_field(type_id, position)?
        };
        Ok(Place { bit: start.saturating_add(u64::from(bit)), width, type_id })
    }

    /// Without the kind flag, a bit-field shows in its integer type: fewer bits than the bytes hold.
    fn old_bit_field(&self, type_id: u32, position: u32) -> Result<(Option<u32>, u32), BtfError> {
        let record = self.resolve(type_id)?;
        if record.kind != Kind::Int {
            return Ok((None, position));
        }
        let encoding = word(record.tail, 0).unwrap_or(0);
        let (bits, shift) = (encoding & 0xff, (encoding >> 16) & 0xff);
        let partial = u64::from(bits) != u64::from(record.size_or_type) * 8;
        Ok((partial.then_some(bits), position.saturating_add(shift)))
    }

    fn whole_bytes(&self, place: Place, question: Question) -> Result<Member, BtfError> {
        if place.width.is_some() || !place.bit.is_multiple_of(8) {
            return Err(question.bit_field());
        }
        let offset = u32::try_from(place.bit / 8).map_err(|_| question.endless())?;
        Ok(Member { offset, size: self.size_of(place.type_id)?, type_id: place.type_id })
    }

    /// The bytes that a value of the type takes.
    pub(super) fn size_of(&self, id: u32) -> Result<u32, BtfError> {
        let malformed = |what| BtfError::Malformed { id, what };
        let (mut count, mut at) = (1_u64, id);
        for _ in 0..CHAIN {
            let record = self.resolve(at)?;
            let each = match record.kind {
                Kind::Pointer => POINTER_BYTES,
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float => {
                    u64::from(record.size_or_type)
                }
                Kind::Array => {
                    let element = word(record.tail, 0).unwrap_or(0);
                    count = count.saturating_mul(u64::from(word(record.tail, 8).unwrap_or(0)));
                    at = element;
                    continue;
                }
                _ => return Err(malformed("has no size")),
            };
            return u32::try_from(count.saturating_mul(each)).map_err(|_| malformed("is larger than 4 GiB"));
        }
        Err(malformed("is an array of arrays without end"))
    }
}
