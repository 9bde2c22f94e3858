//! The debug information of modules, found when an address of theirs is looked up.

use std::collections::HashMap;
use std::fs;

use super::build_id::BuildId;
use super::candidates::Places;
use super::frame::Frame;
use super::image::{Image, Rejected};

/// The modules that were asked about.
#[derive(Debug)]
pub struct Modules {
    places: Places,
    /// Nothing for a module without debug information.
    images: HashMap<Box<str>, Option<Image>>,
}

impl Modules {
    pub fn new(places: Places) -> Self {
        Self { places, images: HashMap::new() }
    }

    /// The frames at an address of a module that is loaded; none where its debug information isn't at hand.
    pub fn frames(&mut self, module: &str, address: u64) -> Result<Vec<Frame>, Rejected> {
        if !self.images.contains_key(module) {
            let image = self.open(module);
            self.images.insert(module.into(), image);
        }
        let Some(Some(image)) = self.images.get_mut(module) else { return Ok(Vec::new()) };
        // Code that runs once is gone, and its address may be another's by now.
        let sections = self.places.root.join("sys/module").join(module).join("sections");
        let address_of = |section: &str| {
            let stays = !section.starts_with(".init");
            stays.then(|| parse_address(&fs::read_to_string(sections.join(section)).ok()?)).flatten()
        };
        image.frames(address, address_of)
    }

    /// The first file that is of the module's very build.
    fn open(&self, module: &str) -> Option<Image> {
        let build = BuildId::of_module(&self.places.root, module)?;
        self.places.of_module(module, &build).iter().find_map(|path| {
            let opened = Image::of_module(path, &build);
            opened.inspect_err(|why| tracing::debug!("{} {why}", path.display())).ok()
        })
    }
}

/// `0xffffffffc0200000` (`kernel/module/sysfs.c`); zero where the kernel hides it.
fn parse_address(text: &str) -> Option<u64> {
    let digits = text.trim().strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().filter(|address| *address != 0)
}
