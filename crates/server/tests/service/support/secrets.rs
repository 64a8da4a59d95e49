//! Certificates made for a test, in a folder laid out as the kubelet mounts a Secret: each file is
//! a symbolic link through `..data`, and one rename replaces all of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use digits_server::CredentialFlags;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use tempfile::TempDir;

/// An authority.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for localhost, of server and client alike.
    pub fn issue(&self, name: &str) -> Pair {
        let params = CertificateParams::new(["localhost".to_owned()]);
        self.sign(name, params.expect("a name"))
    }

    /// A certificate of a client with these names.
    pub fn issue_for(&self, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::new([]).expect("no names");
        params.subject_alt_names = names;
        self.sign("client", params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Pair {
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A mounted Secret.
pub struct Mounted {
    dir: TempDir,
    swaps: usize,
}

impl Mounted {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let mut mounted = Self {
            dir: tempfile::tempdir().expect("a folder"),
            swaps: 0,
        };
        mounted.swap(files);
        for (name, _) in files {
            symlink(format!("..data/{name}"), mounted.path(name)).expect("a link");
        }
        mounted
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces all files at once.
    pub fn swap(&mut self, files: &[(&str, &str)]) {
        self.swaps += 1;
        let new = format!("..{}", self.swaps);
        fs::create_dir(self.path(&new)).expect("a folder");
        for (name, content) in files {
            fs::write(self.path(&new).join(name), content).expect("a file");
        }
        symlink(&new, self.path("..new")).expect("a link");
        fs::rename(self.path("..new"), self.path("..data")).expect("renamed");
    }

    /// Flags that name `tls.crt` and `tls.key` of it.
    pub fn tls(&self) -> CredentialFlags {
        CredentialFlags {
            tls_certificate_file: Some(self.path("tls.crt")),
            tls_key_file: Some(self.path("tls.key")),
            ..CredentialFlags::default()
        }
    }
}

/// The files of a pair, as a Secret of TLS names them.
pub fn files(pair: &Pair) -> [(&str, &str); 2] {
    [("tls.crt", &pair.certificate), ("tls.key", &pair.key)]
}
