//! Build-ids: which very build of a kernel or a module a file belongs to.

use std::fmt;
use std::fs;
use std::path::Path;

use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID};
use object::read::elf::NoteIterator;
use object::{File, NativeEndian, Object as _};

/// The linker's hash over a file's contents (ld(1), `--build-id`), kept by all files that are made from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BuildId(Box<[u8]>);

impl BuildId {
    /// The build-id among the ELF notes that the kernel shows of itself and of its modules (elf(5), `Elf_Nhdr`).
    /// Absent where there is none, or where the notes are malformed before it.
    pub fn from_notes(notes: &[u8]) -> Option<Self> {
        let mut notes = NoteIterator::<FileHeader64<NativeEndian>>::new(NativeEndian, 4, notes).ok()?;
        while let Some(note) = notes.next().ok()? {
            if note.name() == ELF_NOTE_GNU && note.n_type(NativeEndian) == NT_GNU_BUILD_ID {
                return Self::from_bytes(note.desc());
            }
        }
        None
    }

    /// The build-id of the kernel that runs (`kernel/ksysfs.c`).
    pub fn of_kernel(root: &Path) -> Option<Self> {
        Self::from_notes(&fs::read(root.join("sys/kernel/notes")).ok()?)
    }

    /// The build-id of a module that is loaded (`kernel/module/sysfs.c`).
    pub fn of_module(root: &Path, module: &str) -> Option<Self> {
        let notes = root.join("sys/module").join(module).join("notes/.note.gnu.build-id");
        Self::from_notes(&fs::read(notes).ok()?)
    }

    /// The build-id that a file holds.
    pub fn of_file(file: &File<'_>) -> Option<Self> {
        Self::from_bytes(file.build_id().ok()??)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.into()))
    }

    /// Where `/usr/lib/debug/.build-id` has the debug information: `xx/yyyy.debug` (gdb(1), "Separate Debug Files").
    pub fn debug_path(&self) -> String {
        let id = self.to_string();
        // Two digits each byte, and there is one byte at least.
        let (first, rest) = id.split_at(2);
        format!("{first}/{rest}.debug")
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A note as the linker writes it.
    pub fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [name.len() + 1, description.len(), kind as usize] {
            bytes.extend(u32::try_from(word).unwrap().to_ne_bytes());
        }
        for field in [&[name, b"\0"].concat(), description] {
            bytes.extend(field);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let notes =
            [note(b"Xen", 6, b"linux\0"), note(b"GNU", 3, &[0x3b, 0x43, 0xfa]), note(b"Linux", 0x100, b"x")];
        let id = BuildId::from_notes(&notes.concat()).unwrap();
        assert_eq!((id.to_string().as_str(), id.debug_path().as_str()), ("3b43fa", "3b/43fa.debug"));
    }

    #[test]
    fn an_empty_build_id_is_none() {
        assert_eq!(BuildId::from_notes(&note(b"GNU", 3, b"")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(id) = BuildId::from_notes(&bytes) {
                prop_assert!(bytes.windows(id.0.len()).any(|window| *window == *id.0));
            }
        }

        #[test]
        fn the_first_build_id_is_found(
            others in prop::collection::vec(("[A-Z]{1,9}", 0_u32..9, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
            id in prop::collection::vec(any::<u8>(), 1..40),
            rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut notes: Vec<u8> = others
                .iter()
                .filter(|(name, kind, _)| (name.as_str(), *kind) != ("GNU", NT_GNU_BUILD_ID.0))
                .flat_map(|(name, kind, description)| note(name.as_bytes(), *kind, description))
                .collect();
            notes.extend(note(b"GNU", NT_GNU_BUILD_ID.0, &id));
            notes.extend(rest);
            prop_assert_eq!(BuildId::from_notes(&notes), Some(BuildId(id.into())));
        }
    }
}
