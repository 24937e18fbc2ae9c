//! Tests.

use super::*;

fn file(disk: &SimDisk, name: &str) -> Box<dyn DiskFile> {
    disk.open(name, true).unwrap()
}

#[test]
fn what_was_synced_survives_every_loss_of_power() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut f = file(&disk, "d/a");
        f.write_at(&[7; 2_000], 0).unwrap();
        f.sync().unwrap();
        disk.sync_dir("d").unwrap();
        f.write_at(&[8; 1_500], 1_000).unwrap();
        disk.crash();
        assert!(f.sync().is_err(), "a file opened before the loss of power is dead");
        let bytes = disk.bytes("d/a").unwrap();
        assert!(bytes[..1_000].iter().all(|byte| *byte == 7), "seed {seed}");
        assert!(bytes[1_000..].iter().all(|byte| matches!(byte, 0 | 7 | 8)), "seed {seed}");
    }
}

/// Over many seeds each sector of an unsynced write is seen lost and kept, independently.
#[test]
fn unsynced_sectors_are_kept_in_every_combination() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let disk = SimDisk::new(seed);
        let mut f = file(&disk, "a");
        f.preallocate(3 * 512).unwrap();
        f.sync().unwrap();
        disk.sync_dir("").unwrap();
        f.write_at(&[1; 3 * 512], 0).unwrap();
        disk.crash();
        let bytes = disk.bytes("a").unwrap();
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector, seed {seed}");
        }
        seen.insert((bytes[0], bytes[512], bytes[1_024]));
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn unsynced_names_survive_or_do_not() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        file(&disk, "d/old").sync().unwrap();
        disk.sync_dir("d").unwrap();
        disk.rename("d/old", "d/new").unwrap();
        disk.crash();
        seen.insert(disk.list("d").unwrap());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec!["new"], vec!["old"]]);
}

/// After a failed sync reads show what was written, a second sync succeeds, and a loss of power
/// takes away what the first did not write.
#[test]
fn a_failed_sync_is_never_made_good() {
    let mut n_lost = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut f = file(&disk, "a");
        f.preallocate(512).unwrap();
        f.sync().unwrap();
        disk.sync_dir("").unwrap();
        f.write_at(&[1; 512], 0).unwrap();
        disk.fail_after(0, Fault::SyncError);
        assert!(f.sync().is_err());
        assert!(f.sync().is_ok());
        assert_eq!(disk.bytes("a").unwrap()[0], 1);
        disk.crash();
        n_lost += u32::from(disk.bytes("a").unwrap()[0] == 0);
    }
    assert!(10 < n_lost && n_lost < 40, "{n_lost} of 50");
}

#[test]
fn a_write_again_after_a_failed_sync_is_synced_like_any_other() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut f = file(&disk, "a");
        f.write_at(&[1; 512], 0).unwrap();
        disk.fail_after(0, Fault::SyncError);
        assert!(f.sync().is_err());
        f.write_at(&[1; 512], 0).unwrap();
        f.sync().unwrap();
        disk.sync_dir("").unwrap();
        disk.crash();
        assert_eq!(disk.bytes("a").unwrap(), [1; 512], "seed {seed}");
    }
}

#[test]
fn a_fault_comes_in_its_turn_and_once() {
    let disk = SimDisk::new(1);
    let mut f = file(&disk, "a");
    disk.fail_after(1, Fault::WriteError);
    assert!(f.write_at(b"x", 0).is_ok());
    assert!(f.write_at(b"y", 0).is_err());
    assert!(f.write_at(b"z", 0).is_ok());
    assert_eq!(disk.bytes("a").unwrap(), b"z");
}

#[test]
fn a_full_volume_takes_no_more_and_says_so() {
    let disk = SimDisk::new(1);
    disk.set_volume_bytes(1_000);
    let mut f = file(&disk, "a");
    f.preallocate(600).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), (400, 1_000));
    let error = f.write_at(&[0; 500], 600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(f.write_at(&[0; 400], 600).is_ok());
}

#[test]
fn a_flipped_bit_is_there_for_readers() {
    let disk = SimDisk::new(1);
    disk.plant("a", &[0; 4]);
    disk.flip("a", 2, 3).unwrap();
    assert_eq!(disk.bytes("a").unwrap(), [0, 0, 8, 0]);
    assert!(disk.flip("a", 4, 0).is_err());
}
