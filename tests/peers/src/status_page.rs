//! The status page in a browser: it loads, lives, drills down, and the browser has nothing to complain about.

use std::fs;
use std::net::UdpSocket;

use anyhow::{Result, ensure};
use netdrop::http::Settings;
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, System};

use crate::browser::Page;
use crate::made_up::MadeUp;
use crate::serve::Served;

/// Width, height, theme.
const VIEWS: [(u32, u32, &str); 4] =
    [(1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light"), (390, 844, "dark")];

/// A test and its name.
type Named = (&'static str, fn() -> Result<()>);

pub fn cases() -> Vec<Case> {
    let all: [Named; 6] = [
        ("status-page-lives", lives),
        ("status-page-drills-down", drills_down),
        ("status-page-filters", filters),
        ("status-page-tells-of-tcp", tells_of_tcp),
        ("status-page-asks-for-the-token", asks_for_the_token),
        ("status-page-comes-back", comes_back),
    ];
    let made_up = all.into_iter().map(|(name, test)| System::new(name, move |_| test()));
    made_up.chain([System::new("status-page-of-the-daemon", of_the_daemon)]).map(Case::System).collect()
}

fn open(address: &str) -> Result<Page> {
    Page::open(&format!("http://{address}/"))
}

fn is_live(page: &Page) -> Result<()> {
    page.until("the live page", "document.querySelector('#state').dataset.state === 'live'")
}

fn look(page: &Page, width: u32, height: u32, theme: &str) -> Result<()> {
    page.look(width, height, theme)?;
    page.until("the theme", &format!("document.documentElement.dataset.theme === '{theme}'"))
}

/// The daemon as it is, in its sandbox, and real drops.
fn of_the_daemon(bench: &Bench) -> Result<()> {
    let served = Served::start(bench, "[capture.only]\nport = [\"47322\"]\n")?;
    let page = open(&served.address()?)?;
    is_live(&page)?;
    ensure!(page.ask("document.querySelector('#tcp').hidden")? == "true", "TCP isn't followed");
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..500 {
        socket.send_to(b"nobody listens", "127.0.0.1:47322")?;
    }
    let row = "#sites tr[data-key*=NO_SOCKET]";
    page.until(
        "all drops",
        &format!("(document.querySelector('{row}') || document.body).innerText.includes('500')"),
    )?;
    page.click(row)?;
    page.until("what it means", "document.body.innerText.includes('No socket')")?;
    page.picture("page-of-the-daemon")?;
    page.no_complaint()
}

fn lives() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = open(&server.address)?;
    is_live(&page)?;
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
        look(&page, width, height, theme)?;
        let overflow = page.ask("document.documentElement.scrollWidth > innerWidth")?;
        ensure!(overflow == "false", "{width} pixels are too narrow for the page");
        pictures.push(page.picture(&format!("page-{width}-{theme}"))?);
    }
    ensure!(pictures[0] != pictures[1], "light looks as dark does");
    page.no_complaint()
}

fn drills_down() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = open(&server.address)?;
    is_live(&page)?;
    look(&page, 1280, 800, "light")?;
    page.click("#sites tr[data-key*=SOCKET_RCVBUFF]")?;
    page.until("the meaning", "document.querySelector('#site .meaning')?.textContent.length > 20")?;
    page.until(
        "a remedy",
        "[...document.querySelectorAll('#site h3')].some(one => one.textContent === 'Remedy')",
    )?;
    page.until("its last drops", "document.querySelectorAll('#open-drops code').length > 0")?;
    for (width, height, theme) in [(1280, 800, "light"), (390, 844, "dark")] {
        look(&page, width, height, theme)?;
        page.picture(&format!("site-{width}-{theme}"))?;
    }
    page.click("#close")?;
    page.until("the closed site", "!document.querySelector('#site').open")?;
    page.no_complaint()
}

/// Names that look like markup are text.
fn tells_of_tcp() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = open(&server.address)?;
    is_live(&page)?;
    let lists =
        "[...document.querySelectorAll('#tcp ul')].map(list => list.innerText.replace(/\\s+/g, ' ').trim())";
    page.until("retransmits", "document.querySelectorAll('#tcp-retransmits li').length === 2")?;
    let told = page.ask(&format!("{lists}.join('; ')"))?;
    for what in ["rto", "fast", "sent: <img src=x onerror=alert(1)>", "None yet.", "fin"] {
        ensure!(told.contains(what), "{what} is missing: {told}");
    }
    page.until("the ratio", "document.querySelector('#tcp-ratio').textContent.startsWith('0.4 % of ')")?;
    page.no_complaint()
}

fn filters() -> Result<()> {
    let server = MadeUp::start(&Settings::default())?;
    let page = open(&server.address)?;
    is_live(&page)?;
    page.press("/")?;
    page.type_text("eth1")?;
    page.until("the sites on eth1", "document.querySelectorAll('#sites tr').length === 2")?;
    page.run("search('')")?;
    page.click("#class-list [data-class=congestion]")?;
    page.until(
        "congestion alone",
        "[...document.querySelectorAll('#sites tr')].map(row => row.dataset.class).join() === 'congestion,congestion,congestion'",
    )?;
    page.click("#chips button")?;
    page.click("#noise")?;
    page.until("lifecycle too", "document.querySelectorAll('#sites tr').length === 9")?;
    page.click("[data-pane=device]")?;
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
    let page = open(&server.address)?;
    page.until("the question", "document.querySelector('#login').open")?;
    page.click("#token")?;
    page.type_text("not the token at all")?;
    page.press("Enter")?;
    page.until(
        "the refusal",
        "document.querySelector('#login').open && !document.querySelector('#login-error').hidden",
    )?;
    page.picture("login")?;
    page.click("#token")?;
    page.type_text(token)?;
    page.press("Enter")?;
    is_live(&page)?;
    page.until("sites", "document.querySelectorAll('#sites tr').length === 8")?;
    // The browser notes each 401 by itself.
    let complaints = page.complaints();
    ensure!(complaints.iter().all(|one| one.contains("401")), "the browser complains: {complaints:?}");
    Ok(())
}

fn comes_back() -> Result<()> {
    let mut server = MadeUp::start(&Settings::default())?;
    let page = open(&server.address)?;
    is_live(&page)?;
    server.stop();
    page.until("the loss", "document.querySelector('#state').dataset.state === 'lost'")
}
