//! Applies one rule to the environment variables of a process: white space around a value is
//! ignored, and a variable without a value counts as unset.
//!
//! A Kubernetes Secret that was made with `echo` ends in a new-line, and a line of an `--env-file`
//! from Windows in a carriage return. With it, a folder is another folder, and a credential no valid
//! HTTP header.

use std::env;
use std::ffi::OsString;
use std::fs;

/// Prefixes of the variables that the rule applies to.
const PREFIXES: [&str; 5] = ["DIGITS_", "AWS_", "AZURE_", "GOOGLE_", "OTEL_"];

/// Further variables that the rule applies to; [`PROXIES`] as well.
const NAMES: [&str; 10] = [
    "GOMP_SPINCOUNT",
    "LIBTORCH",
    "NO_COLOR",
    "OMP_WAIT_POLICY",
    "RUST_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TOKIO_WORKER_THREADS",
    "USER",
    "XDG_CACHE_HOME",
];

/// Variables of proxies, in upper case. Programs read them in lower case too.
const PROXIES: [&str; 4] = ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// An environment variable with a value that cannot be used. The value is not shown: it may be a
/// secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A line break or another control character inside the value.
    #[error("{0} has a line break or another control character in its value; remove it")]
    ControlCharacter(String),
    /// The value has white space around it, and it is too late to change the environment.
    #[error(
        "{0} has white space around its value, or no value; remove the white space, or the variable"
    )]
    Untidy(String),
}

/// Removes the white space around the values of the variables that `digits` and its libraries read,
/// and the variables whose value is empty or white space alone.
///
/// Call it first in `main`: the environment can only be changed while the process has one thread.
///
/// # Errors
/// The name of a `DIGITS_*` variable whose value holds a control character, or of a variable that
/// would have to be changed when further threads exist.
pub fn tidy() -> Result<(), EnvironmentError> {
    for change in changes(env::vars_os())? {
        change.apply()?;
    }
    Ok(())
}

/// A variable with its tidied value; `None` if it counts as unset.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: String,
    value: Option<String>,
}

impl Change {
    #[allow(unsafe_code)] // Nothing else changes what C libraries see; see the SAFETY comment.
    fn apply(self) -> Result<(), EnvironmentError> {
        if !has_one_thread() {
            return Err(EnvironmentError::Untidy(self.name));
        }
        // SAFETY: there is no other thread that could read or write the environment meanwhile.
        unsafe {
            match self.value {
                Some(value) => env::set_var(self.name, value),
                None => env::remove_var(self.name),
            }
        }
        Ok(())
    }
}

/// The variables that have to be changed. Values that are no UTF-8 stay as they are.
fn changes(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Change>, EnvironmentError> {
    let mut changes = Vec::new();
    for (name, value) in variables {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            continue;
        };
        if !is_ours(name) {
            continue;
        }
        let tidied = value.trim();
        if name.starts_with("DIGITS_") && tidied.contains(char::is_control) {
            return Err(EnvironmentError::ControlCharacter(name.to_owned()));
        }
        if tidied.is_empty() || tidied != value {
            changes.push(Change {
                name: name.to_owned(),
                value: (!tidied.is_empty()).then(|| tidied.to_owned()),
            });
        }
    }
    Ok(changes)
}

fn is_ours(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name)
        || PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// Whether the calling thread is the only one of the process, as Linux lists them; proc(5).
fn has_one_thread() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str, value: &str) -> Result<Vec<Change>, EnvironmentError> {
        changes([(name.into(), value.into())].into_iter())
    }

    #[test]
    fn white_space_around_a_value_is_removed() {
        for (name, value, expected) in [
            ("DIGITS_STATE", "/state\n", Some("/state")),
            ("DIGITS_READY_FILE", "\t/run/ready\r\n", Some("/run/ready")),
            ("AWS_SECRET_ACCESS_KEY", " secret ", Some("secret")),
            (
                "https_proxy",
                "http://proxy:3128\n",
                Some("http://proxy:3128"),
            ),
            ("TOKIO_WORKER_THREADS", "4\n", Some("4")),
            ("DIGITS_PIN", "", None),
            ("AWS_ACCESS_KEY_ID", " \n", None),
        ] {
            let change = Change {
                name: name.to_owned(),
                value: expected.map(str::to_owned),
            };
            assert_eq!(changed(name, value), Ok(vec![change]), "{name}");
        }
        for (name, value) in [
            ("DIGITS_STATE", "/my state"),
            ("DIGITS_STATE", "/state"),
            ("PATH", "/bin "),
            // Empty, it hides all GPUs.
            ("CUDA_VISIBLE_DEVICES", ""),
        ] {
            assert_eq!(changed(name, value), Ok(Vec::new()), "{name}");
        }
    }

    #[test]
    fn a_line_break_inside_a_value_is_refused_by_name() {
        let error = changed("DIGITS_STORAGE", "/a\n/b").expect_err("refused");
        let text = error.to_string();
        assert!(text.starts_with("DIGITS_STORAGE "), "{text}");
        assert!(!text.contains("/a"), "{text}");
        let certificate = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----";
        assert_eq!(
            changed("AWS_PROXY_CA_CERTIFICATE", certificate),
            Ok(Vec::new())
        );
    }

    #[test]
    fn values_that_are_no_text_stay() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let value = OsStr::from_bytes(b"/\xff\n").to_owned();
        assert_eq!(
            changes([("DIGITS_STATE".into(), value)].into_iter()),
            Ok(Vec::new())
        );
    }

    /// Other tests run beside this one.
    #[test]
    fn the_environment_of_several_threads_is_not_changed() {
        let changed = std::thread::spawn(|| {
            let change = Change {
                name: "DIGITS_STATE".to_owned(),
                value: None,
            };
            change.apply()
        });
        let error = changed.join().expect("no panic").expect_err("two threads");
        assert_eq!(error, EnvironmentError::Untidy("DIGITS_STATE".to_owned()));
    }
}
