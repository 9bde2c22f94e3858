//! The network cards of a guest: of each model two, joined inside QEMU (`xtask/src/vm/qemu.rs`).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::guest::in_guest;
use super::{Namespace, Skip};

/// A card that a driver has taken; anew at the end, so that nothing remains of its settings and the namespace that it was moved to.
pub struct Card {
    /// `/sys/bus/pci` or the like.
    bus: PathBuf,
    driver: &'static str,
    /// Its name at the bus.
    place: String,
}

impl Card {
    /// Both ends of the wire between a driver's two cards; a guest without them skips the test.
    pub fn pair(driver: &'static str) -> Result<[Self; 2]> {
        in_guest("network cards are taken")?;
        let bus = if driver.starts_with("virtio") { "virtio" } else { "pci" };
        let bus = PathBuf::from("/sys/bus").join(bus);
        let taken = fs::read_dir(bus.join("drivers").join(driver)).into_iter().flatten().flatten();
        let mut places: Vec<_> =
            taken.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        // Beside them are the driver's own files.
        places.retain(|place| bus.join("devices").join(place).exists());
        places.sort();
        let places = <[String; 2]>::try_from(places)
            .map_err(|places| Skip(format!("{} cards of {driver} here", places.len())))?;
        Ok(places.map(|place| Self { bus: bus.clone(), driver, place }))
    }

    /// The device's name in the guest's own namespace.
    pub fn name(&self) -> Result<String> {
        let mut names = fs::read_dir(self.device().join("net"))?;
        let entry = names.next().with_context(|| format!("{} has no device here", self.place))??;
        Ok(entry.file_name().to_string_lossy().into_owned())
    }

    /// The address of that device.
    pub fn address(&self) -> Result<String> {
        let path = self.device().join("net").join(self.name()?).join("address");
        Ok(fs::read_to_string(path)?.trim().to_owned())
    }

    /// Moves that device to a namespace, where it gets another name.
    pub fn move_to(&self, namespace: &Namespace, name: &str) -> Result<()> {
        let (own, path) = (self.name()?, namespace.path());
        let output = Command::new("ip").args(["link", "set", &own, "netns", &path, "name", name]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "can't move {own}: {said}");
        Ok(())
    }

    /// The CPU that its first queue's interrupt comes to.
    pub fn cpu(&self) -> Result<usize> {
        let numbers = fs::read_dir(self.device().join("msi_irqs")).context("no MSI")?;
        let numbers = numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let first = numbers.min().context("no interrupt")?;
        let cpu = fs::read_to_string(format!("/proc/irq/{first}/effective_affinity_list"))?;
        cpu.trim().parse().with_context(|| format!("irq {first} comes to {cpu}"))
    }

    /// Takes it from its driver, as if it had been pulled out of its slot.
    pub fn unbind(&self) -> Result<()> {
        self.tell("unbind")
    }

    /// Gives it to its driver again.
    pub fn bind(&self) -> Result<()> {
        self.tell("bind")
    }

    fn tell(&self, what: &str) -> Result<()> {
        let file = self.bus.join("drivers").join(self.driver).join(what);
        fs::write(file, &self.place).with_context(|| format!("can't {what} {}", self.place))
    }

    fn device(&self) -> PathBuf {
        self.bus.join("devices").join(&self.place)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // One that is unbound already is only to be bound; what fails is told by the cases to come.
        let _ = self.unbind();
        let _ = self.bind();
    }
}
