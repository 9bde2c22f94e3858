//! A page in headless Chromium, driven over its pipe (`--remote-debugging-pipe`, the protocol of its developer tools): it notes whatever the
//! browser has to complain about, and each request that goes elsewhere.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use netdrop_tests::lab::{Skip, until};
use nix::unistd::pipe;
use serde_json::{Value, json};

/// How long anything may take; the machine may be busy.
const LONG: Duration = Duration::from_secs(30);

/// Where screenshots are left, when somebody wants to look at them.
const KEEP: &str = "NETDROP_SCREENSHOTS";

/// The browser reads commands here, and answers there (Chromium: `devtools_pipe_handler.cc`).
const COMMANDS: i32 = 3;
const ANSWERS: i32 = 4;

/// A page. The browser ends with it.
pub struct Page {
    child: Child,
    commands: Mutex<File>,
    heard: Arc<Mutex<Heard>>,
    next: AtomicU64,
    session: String,
    _profile: tempfile::TempDir,
}

/// What the browser has said.
#[derive(Default)]
struct Heard {
    answers: HashMap<u64, Value>,
    complaints: Vec<String>,
    loaded: bool,
    ended: bool,
    /// What the page may ask for begins so.
    home: String,
}

impl Page {
    /// Opens an address, and waits until it is loaded.
    pub fn open(address: &str) -> Result<Self> {
        let mut page = Self::start()?;
        let target = page.call("Target.createTarget", &json!({"url": "about:blank"}))?["targetId"].clone();
        let attached = page.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}))?;
        attached["sessionId"].as_str().context("no session")?.clone_into(&mut page.session);
        let end = address.match_indices('/').nth(2).map_or(address.len(), |(at, _)| at);
        address[..end].clone_into(&mut page.heard().home);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}))?;
        }
        page.call("Page.navigate", &json!({"url": address}))?;
        until("the page to load", LONG, || Ok(page.heard().loaded.then_some(())))?;
        Ok(page)
    }

    fn start() -> Result<Self> {
        let programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
        let program = programs.into_iter().map(PathBuf::from).find(|path| path.exists());
        let program = program.ok_or_else(|| Skip("no Chromium is installed".into()))?;
        let profile = tempfile::tempdir()?;
        let ((reads, commands), (answers, writes)) = (pipe()?, pipe()?);
        let mut command = Command::new(program);
        command
            // Its own sandbox refuses to run as root.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let ends = (reads.as_raw_fd(), writes.as_raw_fd());
        // SAFETY: only system calls between fork and exec. Both are moved away first, lest one be overwritten by the other.
        unsafe {
            command.pre_exec(move || {
                let (reads, writes) =
                    (libc::fcntl(ends.0, libc::F_DUPFD, 10), libc::fcntl(ends.1, libc::F_DUPFD, 10));
                match (libc::dup2(reads, COMMANDS), libc::dup2(writes, ANSWERS)) {
                    (COMMANDS, ANSWERS) => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().context("can't start Chromium")?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || listen(File::from(answers), &shared));
        let (commands, next) = (Mutex::new(File::from(commands)), AtomicU64::new(1));
        Ok(Self { child, commands, heard, next, session: String::new(), _profile: profile })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("no holder panics")
    }

    /// A command of the protocol, and its result.
    fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let bytes = message.to_string() + "\0";
        self.commands.lock().expect("no holder panics").write_all(bytes.as_bytes())?;
        let answer = until(method, LONG, || {
            let mut heard = self.heard();
            ensure!(!heard.ended, "the browser has ended");
            Ok(heard.answers.remove(&id))
        })?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].clone())
    }

    /// Runs a script; its value.
    pub fn run(&self, script: &str) -> Result<Value> {
        let ran = self.call("Runtime.evaluate", &json!({"expression": script, "returnByValue": true}))?;
        if let Some(thrown) = ran.get("exceptionDetails") {
            bail!("{script}: {thrown}");
        }
        Ok(ran["result"]["value"].clone())
    }

    /// The value of a script's expression, as text.
    pub fn ask(&self, expression: &str) -> Result<String> {
        Ok(self.run(&format!("String({expression})"))?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until an expression is true.
    pub fn until(&self, what: &str, expression: &str) -> Result<()> {
        until(what, LONG, || Ok((self.ask(expression)? == "true").then_some(())))
    }

    /// Clicks into the middle of what a selector names, once it is there.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = format!("document.querySelector({})", json!(selector));
        self.until(selector, &format!("{element} !== null"))?;
        let middle = self.run(&format!(
            "(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();
               return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ))?;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event)?;
        }
        Ok(())
    }

    /// Presses a key: a character, Enter or Escape.
    pub fn press(&self, key: &str) -> Result<()> {
        let (text, code) = match key {
            "Enter" => ("\r", 13),
            "Escape" => ("", 27),
            character => (character, 0),
        };
        let down =
            json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code, "code": key});
        self.call("Input.dispatchKeyEvent", &down)?;
        self.call("Input.dispatchKeyEvent", &json!({"type": "keyUp", "key": key, "code": key}))?;
        Ok(())
    }

    /// Presses one key after the other.
    pub fn type_text(&self, text: &str) -> Result<()> {
        text.chars().try_for_each(|character| self.press(&character.to_string()))
    }

    /// The window's size, and what the system's settings say of light and dark.
    pub fn look(&self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}))?;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &size)?;
        Ok(())
    }

    /// A picture of what is seen, PNG; kept where somebody wants it.
    pub fn picture(&self, name: &str) -> Result<Vec<u8>> {
        let taken = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        let text = taken["data"].as_str().context("no picture")?;
        let picture = base64::engine::general_purpose::STANDARD.decode(text)?;
        if let Some(folder) = std::env::var_os(KEEP) {
            fs::write(Path::new(&folder).join(format!("{name}.png")), &picture)?;
        }
        // A page of one colour is packed into some kilobytes.
        ensure!(picture.len() > 10_000, "the picture {name} shows nothing: {} bytes", picture.len());
        Ok(picture)
    }

    /// What the browser had to complain about so far.
    pub fn complaints(&self) -> Vec<String> {
        self.heard().complaints.clone()
    }

    /// Nothing, it is to be hoped.
    pub fn no_complaint(&self) -> Result<()> {
        let complaints = self.complaints();
        ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");
        Ok(())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sorts what the browser says: messages end with a zero byte.
fn listen(answers: File, heard: &Mutex<Heard>) {
    let messages = BufReader::new(answers).split(0).map_while(std::io::Result::ok);
    for message in messages {
        let Ok(message) = serde_json::from_slice::<Value>(&message) else { continue };
        let mut heard = heard.lock().expect("no holder panics");
        if let Some(id) = message["id"].as_u64() {
            heard.answers.insert(id, message);
            continue;
        }
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => heard.loaded = true,
            "Log.entryAdded" => heard.complaints.push(parameters["entry"]["text"].to_string()),
            "Runtime.exceptionThrown" => heard.complaints.push(parameters["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => heard.complaints.push(parameters["args"].to_string()),
            "Network.requestWillBeSent" => {
                let address = parameters["request"]["url"].as_str().unwrap_or_default();
                if !address.starts_with(&heard.home) && !address.starts_with("data:") {
                    heard.complaints.push(format!("a request for {address}"));
                }
            }
            _ => {}
        }
    }
    heard.lock().expect("no holder panics").ended = true;
}
