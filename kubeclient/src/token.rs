//! The token that requests carry.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::header::HeaderValue;

use crate::{Error, Token};

/// How old what was read may be. Kubernetes replaces a token long before the old one expires.
pub const READ_AGAIN: Duration = Duration::from_secs(60);

/// What goes into the header `Authorization`.
pub enum Authorization {
    /// Nothing.
    None,
    /// Always this.
    Fixed(HeaderValue),
    /// What a file holds.
    File(TokenFile),
}

/// A token in a file, and when it was read.
pub struct TokenFile {
    path: PathBuf,
    read_again: Duration,
    last: Mutex<(HeaderValue, Instant)>,
}

impl Authorization {
    /// Reads what is to be sent at first.
    ///
    /// # Errors
    /// When there is no such file, or no token in it.
    pub fn new(token: &Token, read_again: Duration) -> Result<Authorization, Error> {
        Ok(match token {
            Token::None => Authorization::None,
            Token::Fixed(token) => Authorization::Fixed(bearer(&token.0)?),
            Token::File(path) => {
                let last = Mutex::new((read(path)?, Instant::now()));
                Authorization::File(TokenFile { path: path.clone(), read_again, last })
            }
        })
    }

    /// What a request is to carry now.
    pub fn header(&self) -> Option<HeaderValue> {
        match self {
            Authorization::None => None,
            Authorization::Fixed(header) => Some(header.clone()),
            Authorization::File(file) => Some(file.header()),
        }
    }
}

impl TokenFile {
    /// A file that cannot be read leaves the token that was read last: it may be good for a while.
    fn header(&self) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.elapsed() >= self.read_again {
            match read(&self.path) {
                Ok(header) => last.0 = header,
                Err(error) => tracing::warn!(%error, "the last token for the API server is used further"),
            }
            last.1 = Instant::now();
        }
        last.0.clone()
    }
}

fn read(path: &PathBuf) -> Result<HeaderValue, Error> {
    let token = fs::read_to_string(path).map_err(|error| Error::File { path: path.clone(), error })?;
    bearer(&token)
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| Error::Token)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_token_is_sent_and_a_lost_one_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let token = Token::File(file.path().to_owned());
        fs::write(file.path(), "one\n").unwrap();
        let kept = Authorization::new(&token, Duration::from_secs(60)).unwrap();
        let read = Authorization::new(&token, Duration::ZERO).unwrap();
        fs::write(file.path(), "two").unwrap();
        assert_eq!(kept.header().unwrap(), "Bearer one", "it is not read for every request");
        assert_eq!(read.header().unwrap(), "Bearer two");
        fs::remove_file(file.path()).unwrap();
        assert_eq!(read.header().unwrap(), "Bearer two");
        assert!(Authorization::new(&token, READ_AGAIN).is_err());
    }
}
