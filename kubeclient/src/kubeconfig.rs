//! The files that tell kubectl where clusters are. Of what they can say, what needs no other program.
//!
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::ByteString;
use serde::{Deserialize, de::IgnoredAny};

use crate::{Access, Error, Identity, Secret, Token, Trust};

/// Largest file that is read, in bytes.
const MAX: u64 = 1024 * 1024;

/// The current context of these files; of what several say, the first counts.
///
/// # Errors
/// When no file can be read, or they do not say what is needed, or want what is not supported.
pub fn read(files: &[PathBuf]) -> Result<Access, Error> {
    let mut all = Kubeconfig::default();
    // As kubectl does it, a file that is not there is passed over, where there are others.
    for file in files.iter().filter(|file| files.len() == 1 || file.exists()) {
        all.append(load(file)?);
    }
    all.access()
}

fn load(path: &Path) -> Result<Kubeconfig, Error> {
    let failed = |error| Error::File { path: path.to_owned(), error };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX {
        let message = format!("{} has {size} bytes; at most {MAX} are read", path.display());
        return Err(Error::Kubeconfig(message));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let mut file: Kubeconfig =
        serde_yaml::from_str(&text).map_err(|error| Error::Syntax { path: path.to_owned(), error })?;
    // Paths in it are relative to where it is.
    let folder = path.parent().unwrap_or(Path::new(""));
    for path in file.paths() {
        *path = folder.join(&*path);
    }
    Ok(file)
}

#[derive(Default, Deserialize)]
struct Kubeconfig {
    #[serde(rename = "current-context")]
    current: Option<String>,
    clusters: Option<Vec<Named<Cluster>>>,
    contexts: Option<Vec<Named<Context>>>,
    users: Option<Vec<Named<User>>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "context", alias = "user")]
    item: Option<T>,
}

#[derive(Clone, Default, Deserialize)]
struct Context {
    cluster: Option<String>,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<ByteString>,
    proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<ByteString>,
    client_key: Option<PathBuf>,
    client_key_data: Option<ByteString>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    username: Option<String>,
    #[serde(rename = "as")]
    impersonates: Option<String>,
}

impl Kubeconfig {
    fn append(&mut self, other: Kubeconfig) {
        self.current = given(self.current.take()).or(other.current);
        extend(&mut self.clusters, other.clusters);
        extend(&mut self.contexts, other.contexts);
        extend(&mut self.users, other.users);
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let clusters = items(&mut self.clusters).filter_map(|cluster| cluster.certificate_authority.as_mut());
        let users = items(&mut self.users).flat_map(|user| {
            [&mut user.token_file, &mut user.client_certificate, &mut user.client_key]
                .into_iter()
                .filter_map(Option::as_mut)
        });
        clusters.chain(users).filter(|path| !path.as_os_str().is_empty())
    }

    fn access(self) -> Result<Access, Error> {
        let missing = |what: &str, name: &str| Error::Kubeconfig(format!("there is no {what} '{name}'"));
        let current = given(self.current).ok_or_else(|| {
            let advice = "no context is current; choose one with `kubectl config use-context`";
            Error::Kubeconfig(advice.to_owned())
        })?;
        let context = find(self.contexts, &current).ok_or_else(|| missing("context", &current))?;
        let name = context.cluster.unwrap_or_default();
        let cluster = find(self.clusters, &name).ok_or_else(|| missing("cluster", &name))?;
        let user = context.user.and_then(|name| find(self.users, &name)).unwrap_or_default();
        let server = given(cluster.server.clone())
            .ok_or_else(|| Error::Kubeconfig(format!("the cluster '{name}' has no server")))?;
        let mut access = Access::to(server.parse().map_err(|_| Error::Address(server))?);
        access.trust = cluster.trust()?;
        access.server_name = given(cluster.tls_server_name);
        access.namespace = given(context.namespace).unwrap_or(access.namespace);
        user.check()?;
        access.token = user.token();
        access.identity = user.identity()?;
        Ok(access)
    }
}

impl Cluster {
    fn trust(&self) -> Result<Trust, Error> {
        if given(self.proxy_url.clone()).is_some() {
            let message = "proxy-url is not supported here; name a server that is reached without a proxy";
            return Err(Error::Kubeconfig(message.to_owned()));
        }
        if self.insecure_skip_tls_verify == Some(true) {
            return Ok(Trust::Anyone);
        }
        let authorities = bytes(&self.certificate_authority_data, &self.certificate_authority)?;
        Ok(authorities.map_or(Trust::System, Trust::Authorities))
    }
}

impl User {
    /// Refuses what would take another program, or what Kubernetes itself no longer knows.
    fn check(&self) -> Result<(), Error> {
        let what = if self.exec.is_some() {
            "a credential plugin (exec)"
        } else if self.auth_provider.is_some() {
            "an auth-provider"
        } else if given(self.username.clone()).is_some() {
            "a username and password"
        } else if given(self.impersonates.clone()).is_some() {
            "impersonation (as)"
        } else {
            return Ok(());
        };
        Err(Error::Kubeconfig(format!(
            "{what} is not supported here; give the user a token, as `kubectl create token` makes one for a service \
             account, or a client certificate"
        )))
    }

    fn token(&self) -> Token {
        match (&self.token_file, given(self.token.clone())) {
            (Some(file), _) if !file.as_os_str().is_empty() => Token::File(file.clone()),
            (_, Some(token)) => Token::Fixed(Secret(token)),
            _ => Token::None,
        }
    }

    fn identity(&self) -> Result<Option<Identity>, Error> {
        let Some(certificates) = bytes(&self.client_certificate_data, &self.client_certificate)? else {
            return Ok(None);
        };
        let key = bytes(&self.client_key_data, &self.client_key)?
            .and_then(|key| String::from_utf8(key).ok())
            .ok_or_else(|| Error::Kubeconfig("a client certificate has no client key".to_owned()))?;
        Ok(Some(Identity { certificates, key: Secret(key) }))
    }
}

/// What stands in the kubeconfig itself, else in the file that it names.
fn bytes(data: &Option<ByteString>, file: &Option<PathBuf>) -> Result<Option<Vec<u8>>, Error> {
    if let Some(ByteString(data)) = data.as_ref().filter(|data| !data.0.is_empty()) {
        return Ok(Some(data.clone()));
    }
    let Some(path) = file.as_ref().filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
    fs::read(path).map(Some).map_err(|error| Error::File { path: path.clone(), error })
}

/// An empty text says nothing.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn find<T>(list: Option<Vec<Named<T>>>, name: &str) -> Option<T> {
    list?.into_iter().find(|named| named.name == name)?.item
}

fn extend<T>(list: &mut Option<Vec<T>>, more: Option<Vec<T>>) {
    list.get_or_insert_default().extend(more.unwrap_or_default());
}

fn items<T>(list: &mut Option<Vec<Named<T>>>) -> impl Iterator<Item = &mut T> {
    list.iter_mut().flatten().filter_map(|named| named.item.as_mut())
}
