//! netdevsim for a guest: the kernel's simulated network device, whose devlink traps report drops like a real switch's.
//!
//! Debian's kernels come without it (`CONFIG_NETDEVSIM` is not set), so this one module is built from Debian's source
//! package against the headers of the very same kernel (kernel: Documentation/kbuild/modules.rst). It lies below
//! `updates/` in that kernel's folder of modules, where modules.dep names it like any other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::Apt;
use super::kernels::{self, Kernel};
use crate::workspace;

/// The series of the matrix whose guest gets the module: Debian 12's own compiler builds it.
const SERIES: &str = "6.12";
const SUITE: &str = "bookworm-security";

const FLAVOUR: &str = "-cloud-amd64";
const DRIVER: &str = "drivers/net/netdevsim";
const MODULE: &str = "netdevsim.ko";

/// Builds the module for a kernel of the series, unless its folder holds it already; other kernels go without it, and
/// a kernel of the caller's own isn't touched.
pub fn ensure(kernel: &Kernel) -> Result<()> {
    let ours = kernels::folder().join(SERIES);
    let Some(modules) = kernel.modules.as_deref().filter(|modules| modules.starts_with(&ours)) else {
        return Ok(());
    };
    let listed = fs::read_to_string(modules.join("modules.dep")).unwrap_or_default();
    if listed.lines().any(|line| line.starts_with(&format!("updates/{MODULE}:"))) {
        return Ok(());
    }
    println!("building {MODULE} for {} …", kernel.name);
    let folder = workspace::target().join("vm/netdevsim");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let module = unpack(&kernel.name, &folder).and_then(|()| build(&kernel.name, &folder))?;

    let updates = modules.join("updates");
    fs::create_dir_all(&updates).with_context(|| format!("cannot make {}", updates.display()))?;
    fs::copy(&module, updates.join(MODULE))
        .with_context(|| format!("cannot copy {} to {}", module.display(), updates.display()))?;
    kernels::depmod(modules, &kernel.name)?;
    // Sources and headers are some 200 MB.
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Gets headers and source of exactly this release, and unpacks them below `folder`; of the source, the driver alone.
fn unpack(release: &str, folder: &Path) -> Result<()> {
    let apt = Apt::new(&workspace::target().join("vm/apt").join(SUITE), SUITE)?;
    let headers = format!("linux-headers-{release}");
    let version = apt.version(&headers).with_context(|| {
        let ours = kernels::folder().join(SERIES);
        format!("{SUITE} has no {headers}; remove {} to get the newest kernel", ours.display())
    })?;
    let packages = packages(release, &version)?;
    for package in apt.download(&packages, folder)? {
        workspace::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(folder))?;
        fs::remove_file(&package)?;
    }
    let source = format!("linux-source-{SERIES}");
    workspace::run(
        Command::new("tar")
            .arg("-C")
            .arg(folder)
            .args(["--strip-components=1", "-xf"])
            .arg(folder.join("usr/src").join(format!("{source}.tar.xz")))
            .arg(format!("{source}/{DRIVER}")),
    )?;
    // Headers are made for being installed: their one absolute path is this line.
    let common = format!("usr/src/linux-headers-{}-common/Makefile", base(release)?);
    let makefile = folder.join("usr/src").join(headers).join("Makefile");
    fs::write(&makefile, format!("include {}\n", folder.join(common).display()))
        .with_context(|| format!("cannot write {}", makefile.display()))
}

fn build(release: &str, folder: &Path) -> Result<PathBuf> {
    let driver = folder.join(DRIVER);
    workspace::run(
        Command::new("make")
            .args(["--silent", "--jobs=2", "-C"])
            .arg(folder.join("usr/src").join(format!("linux-headers-{release}")))
            .arg(format!("M={}", driver.display()))
            // Neither debug info nor BTF (which would take pahole): nothing looks into this module.
            .args([
                "CC=gcc",
                "KCFLAGS=-g0",
                "CONFIG_DEBUG_INFO_BTF_MODULES=",
                "CONFIG_NETDEVSIM=m",
                "modules",
            ]),
    )?;
    Ok(driver.join(MODULE))
}

/// `NAME=VERSION` of all that the module is built from: the kernel's release names its headers, the packages' common
/// version ties the source to them.
fn packages(release: &str, version: &str) -> Result<[String; 4]> {
    let base = base(release)?;
    let source = format!("linux-source-{SERIES}");
    let common = format!("linux-headers-{base}-common");
    let names = [format!("linux-headers-{release}"), common, format!("linux-kbuild-{base}"), source];
    Ok(names.map(|name| format!("{name}={version}")))
}

/// `6.12.9+deb12` of the release `6.12.9+deb12-cloud-amd64`.
fn base(release: &str) -> Result<&str> {
    release
        .strip_suffix(FLAVOUR)
        .with_context(|| format!("{release} is no kernel of Debian's flavour {FLAVOUR}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_are_of_the_kernels_own_version() {
        let expected = [
            "linux-headers-6.12.9+deb12-cloud-amd64=6.12.9-1~deb12u1",
            "linux-headers-6.12.9+deb12-common=6.12.9-1~deb12u1",
            "linux-kbuild-6.12.9+deb12=6.12.9-1~deb12u1",
            "linux-source-6.12=6.12.9-1~deb12u1",
        ];
        assert_eq!(packages("6.12.9+deb12-cloud-amd64", "6.12.9-1~deb12u1").unwrap(), expected);
        let error = packages("6.12.9-custom", "1").unwrap_err().to_string();
        assert!(error.contains("6.12.9-custom") && error.contains("cloud-amd64"), "{error}");
    }
}
