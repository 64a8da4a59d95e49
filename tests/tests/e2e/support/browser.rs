//! A headless Chromium that a script in `tests/browser` drives with Playwright.

use anyhow::{Context as _, Result, bail, ensure};
use digits_testing::{patience, skip};
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A running script. It prints a line to request an action outside the browser, and reads a line
/// when it is done; its errors go to a file. Killed when dropped.
pub struct Script {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stdin: ChildStdin,
    errors: PathBuf,
}

impl Script {
    /// Starts `tests/browser/<name>` with `arguments`. Where something that it needs is missing,
    /// the caller's test is skipped as [`skip`] does it. Screenshots go to `DIGITS_SCREENSHOTS`,
    /// else to `dir`, where its profile lies too.
    ///
    /// # Panics
    /// With `DIGITS_FORBID_SKIP=1`.
    pub fn start(name: &str, arguments: &[&str], dir: &Path, test: &str) -> Result<Option<Self>> {
        let (node, chromium, playwright) = match programs() {
            Ok(programs) => programs,
            Err(missing) => {
                skip(test, &missing);
                return Ok(None);
            }
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("browser")
            .join(name);
        let screenshots = env::var_os("DIGITS_SCREENSHOTS")
            .map_or_else(|| dir.join("screenshots"), PathBuf::from);
        let (profile, errors) = (dir.join("browser"), dir.join("browser.log"));
        fs::create_dir_all(&profile)?;
        let mut child = Command::new(node)
            .arg(script)
            .args(arguments)
            .env("DIGITS_SCREENSHOTS", screenshots)
            .env("DIGITS_PLAYWRIGHT", playwright)
            .env("DIGITS_CHROMIUM", chromium)
            .env("PATIENCE_MS", patience().as_millis().to_string())
            // Each browser makes a fresh profile in it.
            .env("TMPDIR", profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors)?)
            .spawn()
            .context("start node")?;
        let stdout = BufReader::new(child.stdout.take().context("its output")?);
        let stdin = child.stdin.take().context("its input")?;
        Ok(Some(Self {
            child,
            stdout,
            stdin,
            errors,
        }))
    }

    /// Waits until it requests `what`. The script fails by itself when a wait takes longer than
    /// [`patience`].
    pub fn wants(&mut self, what: &str) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let line = line.trim();
        if line != what {
            bail!(
                "the script printed {line:?} and not {what:?}:\n{}",
                self.errors()?
            );
        }
        Ok(())
    }

    /// Sends it the result of the requested action.
    pub fn done(&mut self, outcome: &str) -> Result<()> {
        writeln!(self.stdin, "{outcome}").context("write to the script")
    }

    /// Waits for its successful end.
    pub fn end(mut self) -> Result<()> {
        self.wants("all is well")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}:\n{}", self.errors()?);
        Ok(())
    }

    fn errors(&self) -> Result<String> {
        fs::read_to_string(&self.errors).context("read the script's errors")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// node, Chromium, and the folder of `playwright-core`.
fn programs() -> Result<(PathBuf, PathBuf, PathBuf), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let program = |name: &str| {
        env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|program| program.is_file())
            .ok_or_else(|| format!("{name} is missing (Debian: apt-get install npm chromium)"))
    };
    let playwright = env::var_os("DIGITS_PLAYWRIGHT")
        .map(PathBuf::from)
        .filter(|folder| folder.join("package.json").is_file())
        .ok_or("playwright-core is missing: `make test-pair` fetches it, or DIGITS_PLAYWRIGHT names its folder")?;
    Ok((program("node")?, program("chromium")?, playwright))
}
