//! The debug information of modules, found when an address of theirs is looked up.

use std::collections::HashMap;
use std::io;

use super::build_id::BuildId;
use super::candidates::Places;
use super::frame::Frame;
use super::image::{Image, Rejected};
use crate::kernel::privileged;

/// The modules that were asked about.
#[derive(Debug)]
pub struct Modules {
    places: Places,
    known: HashMap<Box<str>, Loaded>,
}

/// A module as it was loaded when it was asked about.
#[derive(Debug)]
struct Loaded {
    build: BuildId,
    /// Where its code lies; another place after it was unloaded and loaded again.
    text: Option<u64>,
    /// Nothing where its debug information isn't at hand.
    image: Option<Image>,
}

impl Modules {
    pub fn new(places: Places) -> Self {
        Self { places, known: HashMap::new() }
    }

    /// The frames at an address of a module that is loaded; none where its debug information isn't at hand.
    pub fn frames(&mut self, module: &str, address: u64) -> Result<Vec<Frame>, Rejected> {
        let Some(build) = BuildId::of_module(&self.places.root, module) else { return Ok(Vec::new()) };
        let folder = self.places.root.join("sys/module").join(module).join("sections");
        let address_of = |section: &str| {
            // Code that runs once is gone, and its address may be another's by now.
            let stays = !section.starts_with(".init");
            stays
                .then(|| {
                    parse_address(&io::read_to_string(privileged::open(&folder.join(section)).ok()?).ok()?)
                })
                .flatten()
        };
        let text = address_of(".text");
        let is_same = |known: &Loaded| known.build == build && known.text == text;
        if !self.known.get(module).is_some_and(is_same) {
            let image = self.open(module, &build);
            self.known.insert(module.into(), Loaded { build, text, image });
        }
        let image = self.known.get_mut(module).and_then(|known| known.image.as_mut());
        image.map_or(Ok(Vec::new()), |image| image.frames(address, address_of))
    }

    /// The first file that is of the module's very build.
    fn open(&self, module: &str, build: &BuildId) -> Option<Image> {
        self.places.of_module(module, build).iter().find_map(|path| {
            let opened = Image::of_module(path, build);
            opened.inspect_err(|why| tracing::debug!("{} {why}", path.display())).ok()
        })
    }
}

/// `0xffffffffc0200000` (`kernel/module/sysfs.c`); zero where the kernel hides it.
fn parse_address(text: &str) -> Option<u64> {
    let digits = text.trim().strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().filter(|address| *address != 0)
}
