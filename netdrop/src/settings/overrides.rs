//! Single keys from the environment and from flags.

use toml::{Table, Value};

use super::{Settings, SettingsError};

use crate::order::InOrder as _;

/// What variables' names begin with.
const PREFIX: &str = "NETDROP_";

/// A key and its value, from elsewhere than the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The variable or the flag, for errors.
    pub from: String,
    /// The section and the key in it, which may lie deeper.
    pub path: Vec<String>,
    /// As it is written: a string, a number, a list with commas.
    pub value: String,
}

impl Override {
    /// From `SECTION.KEY=VALUE`.
    ///
    /// # Errors
    /// When it isn't that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, value) =
            text.split_once('=').ok_or("write SECTION.KEY=VALUE, as in capture.interval=5s")?;
        let path: Vec<_> = path.trim().split('.').map(str::to_owned).collect();
        if path.len() < 2 || path.iter().any(String::is_empty) {
            return Err("write SECTION.KEY=VALUE, as in capture.interval=5s".into());
        }
        Ok(Self { from: format!("--set {text}"), path, value: value.to_owned() })
    }

    /// The settings with this key changed. What it may be is tried in turn: a string, a value of TOML, a list.
    pub(super) fn apply(&self, settings: &Settings) -> Result<Settings, SettingsError> {
        let list = self.value.split(',').map(|each| Value::String(each.trim().to_owned()));
        let list = if self.value.is_empty() { Vec::new() } else { list.collect() };
        let literal = format!("value = {}", self.value).parse::<Table>().ok();
        let literal = literal.and_then(|mut table| table.remove("value"));
        let tries = [Some(Value::String(self.value.clone())), literal, Some(Value::Array(list))];
        let mut failure = None;
        for value in tries.into_iter().flatten() {
            match self.with(settings, value) {
                Ok(settings) => return Ok(settings),
                // Of another type than the key's: the next may fit.
                Err(message) if message.contains("invalid type") => _ = failure.get_or_insert(message),
                Err(message) => failure = Some(message),
            }
        }
        Err(SettingsError::in_override(&self.from, failure.as_deref().unwrap_or("it has no value")))
    }

    fn with(&self, settings: &Settings, value: Value) -> Result<Settings, String> {
        let mut table = Table::try_from(settings).map_err(|error| error.to_string())?;
        let (key, sections) = self.path.split_last().ok_or("it names no key")?;
        let mut at = &mut table;
        for section in sections {
            let next = at.entry(section.clone()).or_insert_with(|| Table::new().into());
            at = next.as_table_mut().ok_or_else(|| format!("`{section}` is no section"))?;
        }
        at.insert(key.clone(), value);
        // By its text, as the file: the readers of all sections are in the binary once.
        let new: Settings = toml::from_str(&table.to_string()).map_err(|error| error.message().to_owned())?;
        Ok(Settings { otlp: new.otlp.with_secrets_of(&settings.otlp), ..new })
    }
}

/// The keys that variables set: `NETDROP_CAPTURE_INTERVAL=5s`, `NETDROP_CAPTURE_NOT_CLASS=lifecycle`. Those that name no
/// section are left alone, and so are those that Kubernetes makes of services of such a name.
pub fn environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
    let known = Table::try_from(Settings::default()).unwrap_or_default();
    let mut overrides: Vec<_> = variables
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
            let (section, key) = rest.split_once('_')?;
            let section_keys = known.get(section)?.as_table()?;
            if is_kubernetes(key) && !section_keys.contains_key(key) {
                return None;
            }
            let path = path(section_keys, section, key);
            Some(Override { from: name, path, value })
        })
        .collect();
    overrides.order_by(|one, other| one.from.cmp(&other.from));
    overrides
}

/// Where a variable's key lies: `not_class` is `class` in the table `not`.
fn path(keys: &Table, section: &str, key: &str) -> Vec<String> {
    let deeper = key
        .split_once('_')
        .filter(|(table, _)| !keys.contains_key(key) && keys.get(*table).is_some_and(Value::is_table));
    match deeper {
        Some((table, key)) => vec![section.into(), table.into(), key.into()],
        None => vec![section.into(), key.into()],
    }
}

/// `…_SERVICE_HOST`, `…_PORT`, `…_PORT_80_TCP_ADDR`: kubelet's variables for services.
fn is_kubernetes(key: &str) -> bool {
    key == "port" || ["service_host", "service_port", "port_"].iter().any(|start| key.starts_with(start))
}
