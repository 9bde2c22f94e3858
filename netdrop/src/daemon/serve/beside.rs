//! What runs beside the loop, on the same thread: the web server, the exporter, who asks the doctor. They read the hub alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::doctor;
use crate::export::metrics::Metrics;
use crate::export::otlp::{Exporter, Stats};
use crate::export::{Found, Hub, Resource};
use crate::http::{self, Bound, Build, Served};
use crate::model::Timestamp;
use crate::output::Clock;
use crate::sandbox::Needs;
use crate::settings::{Settings, Target};

/// Both, ready to run: sockets are bound and files are read, so that it can be done before privileges are given up.
pub struct Beside {
    bound: Bound,
    exporter: Option<Exporter>,
    resource: Resource,
}

/// Both, running.
pub struct Running {
    tasks: JoinSet<()>,
    end: watch::Sender<bool>,
}

impl Beside {
    /// Binds the sockets, and reads certificates and tokens.
    ///
    /// # Errors
    /// When a setting can't be meant, or what it names can't be had.
    pub fn prepare(settings: &Settings, metrics: &Metrics) -> anyhow::Result<Self> {
        let bound = http::bind(&settings.http)?;
        let resource = Resource::detect();
        let stats = Arc::new(Stats::default());
        let otlp = settings.otlp.clone().with_environment(&|name| std::env::var(name).ok())?;
        let exporter = Exporter::new(&otlp, resource.clone(), Arc::clone(&stats))?;
        if exporter.is_some() {
            metrics.with_exports(stats);
        }
        Ok(Self { bound, exporter, resource })
    }

    /// Says where it listens.
    pub fn announce(&self) {
        for address in self.bound.addresses() {
            eprintln!("netdrop: listening on {address}");
        }
    }

    /// Starts them. `settings` are followed: certificates and tokens are read again with them.
    pub fn run(self, hub: &Hub, metrics: &Metrics, settings: watch::Receiver<Arc<Settings>>) -> Running {
        let (end, ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let doctor = settings.borrow().doctor.clone();
        if doctor.enabled {
            tasks.spawn(doctor::run(doctor.interval.0, hub.clone(), metrics.clone(), told(ended.clone())));
        }
        tasks.spawn(follow(settings, self.bound.secrets(), ended.clone()));
        let asked = metrics.clone();
        let found: Found = Arc::new(move || asked.examination());
        let served = served(hub, metrics, Arc::clone(&found), &self.resource);
        let (bound, shutdown) = (self.bound, told(ended.clone()));
        tasks.spawn(async move {
            if let Err(error) = http::run(bound, served, shutdown).await {
                error!("the web server has ended: {error}");
            }
        });
        if let Some(exporter) = self.exporter {
            tasks.spawn(exporter.with_findings(found).run(hub.clone(), told(ended)));
        }
        Running { tasks, end }
    }
}

impl Running {
    /// Ends both: open answers get a second, the last export three.
    pub async fn end(mut self) {
        let _ = self.end.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Done once the end is told.
async fn told(mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

fn served(hub: &Hub, metrics: &Metrics, findings: Found, resource: &Resource) -> Served {
    let about = metrics.about();
    let mut started = Vec::new();
    Clock::utc().push(Timestamp::now(), &mut started);
    let (asked, text) = (metrics.clone(), (metrics.clone(), hub.clone()));
    Served {
        hub: hub.clone(),
        metrics: Arc::new(move |format| {
            let (metrics, hub) = text.clone();
            Box::pin(async move { metrics.scrape(&hub, format).await })
        }),
        findings,
        ready: Arc::new(move || {
            let attached = asked.is_attached().then_some(());
            attached.ok_or_else(|| "the program was taken off its tracepoint".into())
        }),
        build: Build {
            version: about.version,
            host: resource.0.get("host.name").cloned().unwrap_or_default(),
            kernel: about.kernel,
            started: String::from_utf8_lossy(&started).into_owned(),
            features: about.features.into_iter().map(|(name, given)| (name.to_owned(), given)).collect(),
        },
    }
}

/// Takes over what can be changed while both run, and says what can't.
async fn follow(
    mut settings: watch::Receiver<Arc<Settings>>,
    secrets: http::Secrets,
    ended: watch::Receiver<bool>,
) {
    let mut old = Arc::clone(&settings.borrow_and_update());
    let end = told(ended);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            changed = settings.changed() => if changed.is_err() { return },
        }
        let new = Arc::clone(&settings.borrow_and_update());
        if let Err(error) = secrets.reload(&new.http) {
            error!("[http] certificates and token stay as they were: {error}");
        }
        for (section, is_same) in [
            ("http", old.http == new.http),
            ("otlp", old.otlp == new.otlp),
            ("doctor", old.doctor == new.doctor),
            ("sandbox", old.sandbox == new.sandbox),
        ] {
            if !is_same {
                warn!(
                    "[{section}] has changed: but for certificates and the token of [http], that takes a restart"
                );
            }
        }
        old = new;
    }
}

/// What the daemon still reads and writes once it is in its sandbox.
pub fn needs(settings: &Settings, config: &Path) -> Needs {
    let http = &settings.http;
    // With its folder: a file is often written anew and renamed, and Landlock knows files by what they are, not by name.
    let with_folder = |file: &Path| {
        let folder = file.parent().filter(|_| file.is_file()).map(Path::to_owned);
        folder.into_iter().chain([file.to_owned()])
    };
    let secrets = [&http.tls_cert, &http.tls_key, &http.token_file].into_iter().flatten();
    let read = secrets.map(PathBuf::as_path).chain([config]).flat_map(with_folder).collect();
    let folder = |file: &Path| file.parent().map(Path::to_owned).filter(|folder| *folder != PathBuf::new());
    let log = settings.log.to.contains(&Target::File).then_some(settings.log.file.as_path());
    let metrics = Some(settings.metrics.file.as_path()).filter(|file| !file.as_os_str().is_empty());
    let write: Vec<PathBuf> =
        log.into_iter().chain(metrics).map(|file| folder(file).unwrap_or_else(|| ".".into())).collect();
    Needs { read, write, ..Needs::default() }
}
