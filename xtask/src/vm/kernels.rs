//! The kernels of the matrix: Debian packages, unpacked below the target folder and never installed.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt::Apt;
use crate::workspace;

/// Each series with the suite that carries it. `7` is the newest of its packages.
pub const MATRIX: [(&str, &str); 5] = [
    ("5.10", "bullseye-security"),
    ("6.1", "bookworm-security"),
    ("6.12", "bookworm-security"),
    ("6.18", "trixie-backports"),
    ("7", "trixie-backports"),
];

/// A kernel that a guest can boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The release (`6.12.9-cloud-amd64`), or the file's name.
    pub name: String,
    pub image: PathBuf,
    /// Its `lib/modules/RELEASE`, where it has one.
    pub modules: Option<PathBuf>,
}

/// A kernel by series (`6.12`), release (`7.3`: the series that it belongs to) or path to an image.
pub fn find(wanted: &str) -> Result<Kernel> {
    let path = Path::new(wanted);
    if path.is_file() {
        return Ok(from_path(path));
    }
    let row = MATRIX.iter().find(|(series, _)| {
        wanted == *series || wanted.strip_prefix(series).is_some_and(|rest| rest.starts_with('.'))
    });
    let known = MATRIX.map(|(series, _)| series).join(", ");
    let (series, suite) =
        row.with_context(|| format!("no kernel image at {wanted}, and no such series (known: {known})"))?;
    let folder = folder().join(series);
    if !folder.is_dir() {
        download(series, suite, &folder).with_context(|| format!("cannot get a {series} kernel"))?;
    }
    unpacked(&folder)
}

/// Where the matrix' kernels lie, each series in a folder of its name.
pub fn folder() -> PathBuf {
    workspace::target().join("vm/kernels")
}

/// An image of the caller's own; modules are taken from where distributions put them.
fn from_path(image: &Path) -> Kernel {
    let file = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = file.trim_start_matches("vmlinuz-").to_owned();
    let modules = Path::new("/lib/modules").join(&name);
    Kernel {
        name,
        image: image.to_owned(),
        modules: modules.join("modules.dep").is_file().then_some(modules),
    }
}

/// Downloads and unpacks the newest packages of a series. The folder appears only when it is complete.
fn download(series: &str, suite: &str, folder: &Path) -> Result<()> {
    println!("getting the newest {series} kernel of {suite} …");
    let apt = Apt::new(&workspace::target().join("vm/apt").join(suite), suite)?;
    let pattern = format!(r"^linux-image-{}\.[0-9].*cloud-amd64$", series.replace('.', r"\."));
    let mut images = apt.search(&pattern)?;
    images.sort_by_key(|name| Reverse(numbers(name)));
    let image = images.first().with_context(|| format!("{suite} has no package like {pattern}"))?;

    // From 7.x on, image, modules and base files are packages of their own.
    let release = image.trim_start_matches("linux-image-").replace('.', r"\.").replace('+', r"\+");
    let mut packages = apt.search(&format!("^linux-(binary|modules|base)-{release}$"))?;
    packages.push(image.clone());

    let partial = folder.with_file_name(format!("{series}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    for package in apt.download(&packages, &partial)? {
        workspace::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&partial))?;
        fs::remove_file(&package)?;
    }
    let kernel = unpacked(&partial)?;
    let modules = kernel.modules.context("the packages hold no modules")?;
    // Packages come without modules.dep: installing them would make it.
    depmod(&modules, &kernel.name)?;
    fs::rename(&partial, folder).with_context(|| format!("cannot name {}", folder.display()))
}

/// Lists a release's modules anew, given their folder `BASE/lib/modules/RELEASE` (depmod(8)).
pub fn depmod(modules: &Path, release: &str) -> Result<()> {
    let base = modules.ancestors().nth(3).context("modules lie three folders deep")?;
    let program = workspace::which("depmod").unwrap_or_else(|| PathBuf::from("depmod"));
    workspace::run(Command::new(program).arg("-b").arg(base).arg(release))
}

/// The kernel in a folder of unpacked packages: `boot/vmlinuz-RELEASE` or `usr/lib/modules/RELEASE/vmlinuz`.
fn unpacked(folder: &Path) -> Result<Kernel> {
    for base in ["lib/modules", "usr/lib/modules"] {
        for entry in fs::read_dir(folder.join(base)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let images = [folder.join("boot").join(format!("vmlinuz-{name}")), entry.path().join("vmlinuz")];
            if let Some(image) = images.into_iter().find(|image| image.is_file()) {
                return Ok(Kernel { name, image, modules: Some(entry.path()) });
            }
        }
    }
    ensure!(folder.is_dir(), "{} is not there", folder.display());
    anyhow::bail!("no kernel image with modules in {}; remove it to get it anew", folder.display())
}

/// A version's numbers, for comparing: the rest of a package's name is the same within a series.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_has_the_greatest_numbers() {
        let mut names = ["linux-image-7.2.9+deb13-cloud-amd64", "linux-image-7.10.1+deb13-cloud-amd64"];
        names.sort_by_key(|name| Reverse(numbers(name)));
        assert_eq!(names[0], "linux-image-7.10.1+deb13-cloud-amd64");
    }

    #[test]
    fn both_package_layouts_are_found() {
        for image in ["boot/vmlinuz-6.1.0-x", "usr/lib/modules/6.1.0-x/vmlinuz"] {
            let dir = tempfile::tempdir().unwrap();
            let modules =
                if image.starts_with("boot") { "lib/modules/6.1.0-x" } else { "usr/lib/modules/6.1.0-x" };
            for folder in ["boot", modules] {
                fs::create_dir_all(dir.path().join(folder)).unwrap();
            }
            fs::write(dir.path().join(image), b"").unwrap();
            let kernel = unpacked(dir.path()).unwrap();
            assert_eq!((kernel.name.as_str(), kernel.image), ("6.1.0-x", dir.path().join(image)));
            assert_eq!(kernel.modules, Some(dir.path().join(modules)));
        }
    }

    #[test]
    fn an_unknown_series_is_named_with_the_known_ones() {
        let message = find("4.19").unwrap_err().to_string();
        assert!(message.contains("4.19") && message.contains("5.10, 6.1, 6.12, 6.18, 7"), "{message}");
    }
}
