//! Key-encryption keys in a folder of files, one each: `<id>.kek`, mode 0600.
//!
//! The folder lies outside the store and outside every backup that we make: who has a backup of
//! store and key store has nothing without it. It is the adapter for one machine without a token;
//! what it cannot reach is said by [`Reach::File`].

use std::io;
use std::sync::Arc;

use bartizan_core::digest::hex;
use bartizan_core::disk::{Disk, DiskFile};
use bartizan_core::entropy::{Entropy, random};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{KekId, KeyWrap, Reach, WrapError, failed};

const SERVICE: &str = "file";
const MAGIC: &[u8; 8] = b"bzkek\r\n\x1a";
const FORMAT: u32 = 1;
/// One sector: written whole or not at all, overwritten whole.
const FILE_BYTES: usize = 512;
/// Bytes that the checksum covers: magic, format, id, key.
const COVERED_BYTES: usize = 8 + 4 + 16 + 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const LABEL: &[u8] = b"bartizan kek 1";

/// A folder of KEKs.
pub struct FileKeys {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
}

impl FileKeys {
    /// The KEKs in the folder `disk`.
    pub fn new(disk: Arc<dyn Disk>, entropy: Arc<dyn Entropy>) -> Self {
        Self { disk, entropy }
    }

    fn key(&self, kek: KekId) -> Result<LessSafeKey, WrapError> {
        let file = match self.disk.open(&name(kek), false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent(kek)),
            Err(error) => return Err(failed(SERVICE, "read a key-encryption key")(error)),
        };
        let key = read(&*file, kek)
            .map_err(failed(SERVICE, "read a key-encryption key"))?
            .ok_or_else(|| absent(kek))?;
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| absent(kek))?;
        Ok(LessSafeKey::new(key))
    }
}

fn name(kek: KekId) -> String {
    format!("{}.kek", hex(&kek.0))
}

fn absent(kek: KekId) -> WrapError {
    WrapError::Absent { service: SERVICE.to_owned(), kek }
}

fn foreign(kek: KekId) -> WrapError {
    WrapError::Foreign { service: SERVICE.to_owned(), kek }
}

/// What a wrapped key is bound to.
fn aad(kek: KekId) -> Vec<u8> {
    [LABEL, &kek.0].concat()
}

fn file_bytes(kek: KekId, key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&kek.0);
    bytes.extend_from_slice(key);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.resize(FILE_BYTES, 0);
    bytes
}

/// The key in `file`; `None` where it is not whole, which is what a destruction leaves.
fn read(file: &dyn DiskFile, kek: KekId) -> io::Result<Option<Zeroizing<[u8; 32]>>> {
    let mut bytes = Zeroizing::new(vec![0; FILE_BYTES]);
    let read = file.read_at(&mut bytes, 0)?;
    let (covered, rest) = bytes.split_at(COVERED_BYTES);
    let crc = rest.first_chunk::<4>().map(|crc| u32::from_le_bytes(*crc));
    let head = [&MAGIC[..], &FORMAT.to_le_bytes(), &kek.0].concat();
    let sound =
        read == FILE_BYTES && crc == Some(crc32c::crc32c(covered)) && covered.starts_with(&head);
    let key = covered.last_chunk::<32>().filter(|_| sound);
    Ok(key.map(|key| Zeroizing::new(*key)))
}

impl KeyWrap for FileKeys {
    fn service(&self) -> &'static str {
        SERVICE
    }

    fn reach(&self) -> Reach {
        Reach::File
    }

    fn create(&self, kek: KekId) -> Result<(), WrapError> {
        let key = Zeroizing::new(random::<32>(&*self.entropy));
        let make = || -> io::Result<()> {
            // One sector: there whole or not at all, so it needs no other name first.
            let mut file = self.disk.open(&name(kek), true)?;
            file.write_at(&file_bytes(kek, &key), 0)?;
            file.sync()?;
            self.disk.sync_dir("")
        };
        make().map_err(failed(SERVICE, "make a key-encryption key"))
    }

    fn wrap(&self, kek: KekId, key: &[u8; 32]) -> Result<Vec<u8>, WrapError> {
        let nonce = random::<NONCE_BYTES>(&*self.entropy);
        let mut out = Vec::with_capacity(NONCE_BYTES + key.len() + TAG_BYTES);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(key);
        let tag = self
            .key(kek)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad(kek)),
                &mut out[NONCE_BYTES..],
            )
            .map_err(|_| foreign(kek))?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    fn unwrap(&self, kek: KekId, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, WrapError> {
        let key = self.key(kek)?;
        let (nonce, body) =
            wrapped.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| foreign(kek))?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain =
            key.open_in_place(nonce, Aad::from(aad(kek)), &mut body).map_err(|_| foreign(kek))?;
        let plain = <[u8; 32]>::try_from(&*plain).map_err(|_| foreign(kek))?;
        Ok(Zeroizing::new(plain))
    }

    fn destroy(&self, kek: KekId) -> Result<(), WrapError> {
        let name = name(kek);
        let destroy = || -> io::Result<()> {
            match self.disk.open(&name, false) {
                Ok(mut file) => {
                    // Over the very blocks, on the platter, before the name goes.
                    file.write_at(&[0; FILE_BYTES], 0)?;
                    file.sync()?;
                    self.disk.remove(&name)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            self.disk.sync_dir("")
        };
        destroy().map_err(failed(SERVICE, "destroy a key-encryption key"))
    }
}

#[cfg(test)]
mod tests {
    use bartizan_testkit::{SimDisk, SimEntropy};

    use super::super::{WRAPPED_BYTES_MAX, check_key_wrap};
    use super::*;

    fn keys(disk: &SimDisk, seed: u64) -> FileKeys {
        FileKeys::new(Arc::new(disk.clone()), Arc::new(SimEntropy::new(seed)))
    }

    /// KW1 and KW2, as for every adapter.
    #[test]
    fn a_folder_of_files_is_a_key_wrap() {
        let wrap = keys(&SimDisk::new(1), 1);
        check_key_wrap(&wrap).unwrap();
        assert!(wrap.wrap(KekId([9; 16]), &[1; 32]).is_err());
        wrap.create(KekId([9; 16])).unwrap();
        assert!(wrap.wrap(KekId([9; 16]), &[1; 32]).unwrap().len() <= WRAPPED_BYTES_MAX);
    }

    /// KW3: the power goes the moment a call has returned.
    #[test]
    fn a_made_key_outlives_the_power_and_a_destroyed_one_does_not_come_back() {
        for seed in 0..200 {
            let disk = SimDisk::new(seed);
            let (a, b) = (KekId([1; 16]), KekId([2; 16]));
            let wrap = keys(&disk, seed);
            wrap.create(a).unwrap();
            wrap.create(b).unwrap();
            let wrapped = wrap.wrap(a, &[7; 32]).unwrap();
            let gone = wrap.wrap(b, &[8; 32]).unwrap();
            wrap.destroy(b).unwrap();
            disk.crash();
            let wrap = keys(&disk, seed + 1_000);
            assert_eq!(*wrap.unwrap(a, &wrapped).unwrap(), [7; 32], "seed {seed}");
            assert!(matches!(wrap.unwrap(b, &gone), Err(WrapError::Absent { .. })), "seed {seed}");
        }
    }

    /// A key whose file is damaged is absent, not another key.
    #[test]
    fn a_damaged_file_is_no_key() {
        let disk = SimDisk::new(1);
        let wrap = keys(&disk, 1);
        let kek = KekId([1; 16]);
        wrap.create(kek).unwrap();
        let wrapped = wrap.wrap(kek, &[7; 32]).unwrap();
        disk.flip(&name(kek), 40, 1).unwrap();
        assert!(matches!(wrap.unwrap(kek, &wrapped), Err(WrapError::Absent { .. })));
    }
}
