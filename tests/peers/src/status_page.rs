//! The status page in a browser: it loads, lives, drills down, and the browser has nothing to complain about.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headless_chrome::protocol::cdp::Emulation::{MediaFeature, SetDeviceMetricsOverride, SetEmulatedMedia};
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption::Png;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::{Browser, LaunchOptions, Tab};
use netdrop::http::Settings;
use netdrop_tests::lab::{Skip, until};
use netdrop_tests::scenario::{Case, System};

use crate::made_up::MadeUp;

const LONG: Duration = Duration::from_secs(20);

/// Where screenshots are left, when somebody wants to look at them.
const KEEP: &str = "NETDROP_SCREENSHOTS";

/// Width, height, theme.
const VIEWS: [(u32, u32, &str); 4] =
    [(1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light"), (390, 844, "dark")];

/// A test and its name.
type Named = (&'static str, fn() -> Result<()>);

pub fn cases() -> Vec<Case> {
    let all: [Named; 5] = [
        ("status-page-lives", lives),
        ("status-page-drills-down", drills_down),
        ("status-page-filters", filters),
        ("status-page-asks-for-the-token", asks_for_the_token),
        ("status-page-comes-back", comes_back),
    ];
    all.into_iter().map(|(name, test)| Case::System(System::new(name, move |_| test()))).collect()
}

/// The page of a server, in a browser that notes each complaint.
struct Page {
    tab: Arc<Tab>,
    complaints: Arc<Mutex<Vec<String>>>,
    _browser: Browser,
}

impl Page {
    fn open(address: &str) -> Result<Self> {
        let path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
        let path = path.into_iter().map(PathBuf::from).find(|path| path.exists());
        let path = path.ok_or_else(|| Skip("no Chromium is installed".into()))?;
        let options = LaunchOptions {
            path: Some(path),
            // Its own sandbox refuses to run as root.
            sandbox: false,
            args: ["--disable-dev-shm-usage", "--hide-scrollbars"].map(OsStr::new).to_vec(),
            idle_browser_timeout: Duration::from_mins(2),
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).context("can't start Chromium")?;
        let tab = browser.new_tab()?;
        tab.set_default_timeout(LONG);
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&complaints);
        tab.enable_log()?.enable_runtime()?;
        tab.add_event_listener(Arc::new(move |event: &Event| {
            let complaint = match event {
                Event::LogEntryAdded(entry) => Some(format!("{:?}", entry.params.entry.text)),
                Event::RuntimeExceptionThrown(thrown) => {
                    Some(format!("{:?}", thrown.params.exception_details))
                }
                Event::RuntimeConsoleAPICalled(call) => Some(format!("{:?}", call.params.args)),
                _ => None,
            };
            noted.lock().expect("no holder panics").extend(complaint);
        }))?;
        tab.navigate_to(&format!("http://{address}/"))?.wait_until_navigated()?;
        Ok(Self { tab, complaints, _browser: browser })
    }

    /// The value of a script's expression, as text.
    fn ask(&self, expression: &str) -> Result<String> {
        let value = self.tab.evaluate(&format!("String({expression})"), false)?.value;
        Ok(value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default())
    }

    /// Waits until an expression is true.
    fn until(&self, what: &str, expression: &str) -> Result<()> {
        until(what, LONG, || Ok((self.ask(expression)? == "true").then_some(())))
    }

    fn is_live(&self) -> Result<()> {
        self.until("the live page", "document.querySelector('#state').dataset.state === 'live'")
    }

    fn no_complaint(&self) -> Result<()> {
        let complaints = self.complaints.lock().expect("no holder panics");
        ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");
        Ok(())
    }

    fn look(&self, width: u32, height: u32, theme: &str) -> Result<()> {
        self.tab.call_method(SetEmulatedMedia {
            media: None,
            features: Some(vec![MediaFeature { name: "prefers-color-scheme".into(), value: theme.into() }]),
        })?;
        self.tab.call_method(SetDeviceMetricsOverride {
            width,
            height,
            device_scale_factor: 1.0,
            mobile: width < 500,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        })?;
        self.until("the theme", &format!("document.documentElement.dataset.theme === '{theme}'"))
    }

    /// A picture of what is seen; kept where somebody wants it.
    fn picture(&self, name: &str) -> Result<Vec<u8>> {
        let picture = self.tab.capture_screenshot(Png, None, None, true)?;
        if let Some(folder) = std::env::var_os(KEEP) {
            fs::write(Path::new(&folder).join(format!("{name}.png")), &picture)?;
        }
        Ok(picture)
    }
}

fn lives() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = Page::open(&server.address)?;
    page.is_live()?;
    page.until("all sites but lifecycle", "document.querySelectorAll('#sites tr').length === 8")?;
    let total = "document.querySelector('#sites tr .total').title.replaceAll(',', '')";
    let first: u64 = page.ask(total)?.parse()?;
    page.until("counts that grow", &format!("{total} > {first}"))?;
    page.until("a rate", "document.querySelector('#rate').textContent !== '0'")?;
    page.until("drops", "document.querySelectorAll('#drops tr').length > 3")?;
    ensure!(page.ask("document.title")? == "web-17 · netdrop", "the host is not in the title");
    // Some seconds of a sparkline.
    page.until("a sparkline", "state.history.length >= 6")?;
    let mut pictures = Vec::new();
    for (width, height, theme) in VIEWS {
        page.look(width, height, theme)?;
        let overflow = page.ask("document.documentElement.scrollWidth > innerWidth")?;
        ensure!(overflow == "false", "{width} pixels are too narrow for the page");
        pictures.push(page.picture(&format!("page-{width}-{theme}"))?);
    }
    ensure!(pictures[0] != pictures[1], "light looks as dark does");
    page.no_complaint()
}

fn drills_down() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = Page::open(&server.address)?;
    page.is_live()?;
    page.look(1280, 800, "light")?;
    page.tab.wait_for_element("#sites tr[data-key*=SOCKET_RCVBUFF]")?.click()?;
    page.until("the meaning", "document.querySelector('#site .meaning')?.textContent.length > 20")?;
    page.until(
        "a remedy",
        "[...document.querySelectorAll('#site h3')].some(one => one.textContent === 'Remedy')",
    )?;
    page.until("its last drops", "document.querySelectorAll('#open-drops code').length > 0")?;
    for (width, height, theme) in [(1280, 800, "light"), (390, 844, "dark")] {
        page.look(width, height, theme)?;
        page.picture(&format!("site-{width}-{theme}"))?;
    }
    page.tab.find_element("#close")?.click()?;
    page.until("the closed site", "!document.querySelector('#site').open")?;
    page.no_complaint()
}

fn filters() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = Page::open(&server.address)?;
    page.is_live()?;
    page.tab.press_key("/")?;
    page.tab.type_str("eth1")?;
    page.until("the sites on eth1", "document.querySelectorAll('#sites tr').length === 2")?;
    page.tab.evaluate("search('')", false)?;
    page.tab.find_element("#class-list [data-class=congestion]")?.click()?;
    page.until(
        "congestion alone",
        "[...document.querySelectorAll('#sites tr')].map(row => row.dataset.class).join() === 'congestion,congestion,congestion'",
    )?;
    page.tab.find_element("#chips button")?.click()?;
    page.tab.find_element("#noise")?.click()?;
    page.until("lifecycle too", "document.querySelectorAll('#sites tr').length === 9")?;
    page.tab.find_element("[data-pane=device]")?.click()?;
    page.until("devices", "document.querySelector('#pane').textContent.includes('eth1')")?;
    page.no_complaint()
}

fn asks_for_the_token() -> Result<()> {
    let token = "0123456789abcdef0123";
    let file = std::env::temp_dir().join(format!("netdrop-peers-{}-token", std::process::id()));
    fs::write(&file, token)?;
    let server = MadeUp::start(&Settings { token_file: Some(file.clone()), ..Settings::default() });
    fs::remove_file(&file)?;
    let server = server?;
    let page = Page::open(&server.address)?;
    page.until("the question", "document.querySelector('#login').open")?;
    page.tab.find_element("#token")?.click()?;
    page.tab.type_str("not the token at all")?.press_key("Enter")?;
    page.until(
        "the refusal",
        "document.querySelector('#login').open && !document.querySelector('#login-error').hidden",
    )?;
    page.picture("login")?;
    page.tab.find_element("#token")?.click()?;
    page.tab.type_str(token)?.press_key("Enter")?;
    page.is_live()?;
    page.until("sites", "document.querySelectorAll('#sites tr').length === 8")?;
    // The browser notes each 401 by itself.
    let complaints = page.complaints.lock().expect("no holder panics");
    ensure!(complaints.iter().all(|one| one.contains("401")), "the browser complains: {complaints:?}");
    Ok(())
}

fn comes_back() -> Result<()> {
    let mut server = MadeUp::start(&Settings::default())?;
    let page = Page::open(&server.address)?;
    page.is_live()?;
    server.stop();
    page.until("the loss", "document.querySelector('#state').dataset.state === 'lost'")
}
