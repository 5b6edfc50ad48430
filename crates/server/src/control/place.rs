//! Where the control socket lies.
//!
//! Owns: its path and the privacy of its folder. The path is short, whatever the project's is: socket paths hold at
//! most 108 bytes.

use std::{
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::ServerError;

/// The socket of a project: `<runtime folder>/naru-<hash of the project's folder>.sock`.
///
/// The runtime folder is `$XDG_RUNTIME_DIR`, else a folder private to this user below the temporary folder, which is
/// made if needed.
///
/// # Errors
/// [`ServerError::SocketFolder`] when that folder is not private, [`ServerError::Socket`] when it cannot be made.
pub fn socket_path(project: &Path) -> Result<PathBuf, ServerError> {
    let whole =
        std::fs::canonicalize(project).map_err(|source| ServerError::Socket { path: project.to_owned(), source })?;
    let hash = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let short = hex::encode(hash).chars().take(24).collect::<String>();
    Ok(runtime_folder()?.join(format!("naru-{short}.sock")))
}

fn runtime_folder() -> Result<PathBuf, ServerError> {
    let user = rustix::process::geteuid().as_raw();
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let folder = named.unwrap_or_else(|| std::env::temp_dir().join(format!("naru-{user}")));
    let failed = |source| ServerError::Socket { path: folder.clone(), source };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    // A folder that another user made in the shared temporary folder first would hand them the socket.
    let found = std::fs::symlink_metadata(&folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != user || found.permissions().mode() & 0o077 != 0 {
        return Err(ServerError::SocketFolder(folder));
    }
    Ok(folder)
}
