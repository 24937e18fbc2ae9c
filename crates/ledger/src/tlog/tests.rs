//! The formats beside public vectors, and beside themselves: what is made verifies, and with one
//! byte changed does not.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests: a panic is a failure"
)]

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_testkit::{SimEntropy, SplitMix};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::receipt::leaf_hash;

/// The public vectors; `None`, said on standard error, where the shared folder is missing.
fn vectors() -> Option<PathBuf> {
    let shared = std::env::var_os("BARTIZAN_SHARED").map(PathBuf::from);
    let shared =
        shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared"));
    let folder = shared.join("vectors/ledger");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no public vectors in {}; set BARTIZAN_SHARED", folder.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    base64::decode(value.as_str().unwrap_or_default())
}

fn hash_of(value: &Value) -> Option<Hash> {
    bytes_of(value)?.try_into().ok()
}

fn hashes_of(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash_of).collect())
}

fn inclusion(case: &Value) -> Option<Result<(), ProofError>> {
    let (index, size) = (case["leafIdx"].as_u64()?, case["treeSize"].as_u64()?);
    let (leaf, root) = (hash_of(&case["leafHash"])?, hash_of(&case["root"])?);
    Some(verify_inclusion(index, size, &leaf, &hashes_of(&case["proof"])?, &root))
}

fn consistency(case: &Value) -> Option<Result<(), ProofError>> {
    let (old_size, size) = (case["size1"].as_u64()?, case["size2"].as_u64()?);
    let (old_root, root) = (hash_of(&case["root1"])?, hash_of(&case["root2"])?);
    Some(verify_consistency(old_size, size, &hashes_of(&case["proof"])?, &old_root, &root))
}

/// transparency-dev/merkle's own cases of RFC 6962 proofs, good and broken. What is no hash at
/// all never becomes a proof here.
#[test]
fn every_public_proof_is_judged_as_its_makers_judge_it() {
    let Some(vectors) = vectors() else { return };
    for (folder, judge, at_least) in [
        ("inclusion", inclusion as fn(&Value) -> Option<Result<(), ProofError>>, 80),
        ("consistency", consistency, 80),
    ] {
        let cases = files(&vectors.join("merkle/testdata").join(folder));
        assert!(at_least < cases.len(), "only {} cases of {folder}", cases.len());
        let (mut n_good, mut n_no_hash) = (0, 0);
        for path in &cases {
            let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            let wants_error = case["wantErr"].as_bool().unwrap();
            let Some(verdict) = judge(&case) else {
                n_no_hash += usize::from(!wants_error);
                continue;
            };
            assert_eq!(verdict.is_err(), wants_error, "{}", path.display());
            n_good += usize::from(!wants_error);
        }
        // Two cases compare texts that are no hashes ("don't care").
        assert!(n_no_hash <= 2, "{folder}: {n_no_hash} good cases without a hash");
        assert!(4 < n_good, "{folder}: {n_good} good cases");
    }
}

const TESSERA_KEY: &str =
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

/// A log that Tessera wrote: each checkpoint's signature, and its root from the entries; each
/// tile and bundle has the name and bytes that ours would have.
#[test]
fn a_log_of_another_implementation_is_read_and_written_alike() {
    let Some(vectors) = vectors() else { return };
    let log = vectors.join("tessera/testdata/log");
    let key: VerifierKey = TESSERA_KEY.parse().unwrap();
    assert_eq!(key.to_string(), TESSERA_KEY);
    let whole = fs::read(log.join("tile/entries/000.p/15")).unwrap();
    let entries = bundle_entries(&whole, 15).unwrap();
    let (mut frontier, mut bundle, mut leaves) = (Frontier::new(), Vec::new(), Vec::new());
    for size in 0..=15_u16 {
        if let Some(entry) = size.checked_sub(1).map(|at| entries[usize::from(at)]) {
            frontier.push(leaf_hash(entry));
            leaves.extend(leaf_hash(entry));
            assert!(push_bundle_entry(&mut bundle, entry));
            let tile = Resource::Tile { level: 0, index: 0, width: size };
            let name = Resource::Entries { index: 0, width: size };
            if 2 <= size {
                assert_eq!(fs::read(log.join(name.to_string())).unwrap(), bundle);
                assert_eq!(fs::read(log.join(tile.to_string())).unwrap(), leaves);
            }
        }
        let bytes = fs::read(log.join(format!("checkpoint.{size}"))).unwrap();
        let note = Note::parse(&bytes).unwrap();
        assert_eq!(note.signed_by(&key), Some(Ok(0)), "size {size}");
        let checkpoint = Checkpoint::parse(note.text).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (u64::from(size), frontier.root()));
        assert_eq!(checkpoint.to_string(), note.text);
        assert_eq!(note.to_string().as_bytes(), bytes);
    }
}

#[test]
fn the_specifications_own_notes_and_keys_verify() {
    let Some(vectors) = vectors() else { return };
    let read = |name: &str| fs::read_to_string(vectors.join("notes").join(name)).unwrap();
    for name in ["c2sp_signed_note_example", "sumdb_checkpoint"] {
        let note = read(&format!("{name}.txt"));
        let key: VerifierKey = read(&format!("{name}.vkey")).trim().parse().unwrap();
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(parsed.signed_by(&key), Some(Ok(0)), "{name}");
        assert_eq!(parsed.to_string(), note);
        let changed = note.replacen('e', "f", 1);
        assert_eq!(Note::parse(changed.as_bytes()).unwrap().signed_by(&key), Some(Err(())));
    }
    let cosigned = read("c2sp_cosigned_checkpoint_example.txt");
    let note = Note::parse(cosigned.as_bytes()).unwrap();
    assert_eq!((note.signatures.len(), note.signatures[1].signature.len()), (2, 72));
    assert_eq!(Checkpoint::parse(note.text).unwrap().size, 20_852_163);
}

/// T2: the names of the specification's own examples, and every other spelling.
#[test]
fn a_resource_has_one_name() {
    for (resource, name) in [
        (Resource::Checkpoint, "checkpoint"),
        (Resource::Tile { level: 0, index: 1_234_067, width: 256 }, "tile/0/x001/x234/067"),
        (Resource::Tile { level: 2, index: 0, width: 1 }, "tile/2/000.p/1"),
        (Resource::Entries { index: 273, width: 112 }, "tile/entries/273.p/112"),
        (Resource::Entries { index: 1_000, width: 256 }, "tile/entries/x001/000"),
    ] {
        assert_eq!(resource.to_string(), name);
        assert_eq!(Resource::parse(name), Some(resource));
    }
    for name in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/8/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/entries/000/",
        "checkpoint/",
        "tile/0/../000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
    ] {
        assert_eq!(Resource::parse(name), None, "accepted {name:?}");
    }
}

/// The specification's own example: a tree of 70,000 entries.
#[test]
fn the_tiles_of_a_tree_are_those_that_the_specification_counts() {
    let tiles = tiles_of(0, 70_000);
    let full = |level| {
        let of = |tile: &&Resource| matches!(tile, Resource::Tile { level: l, width: 256, .. } if *l == level);
        tiles.iter().filter(of).count()
    };
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    for name in ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"] {
        assert!(tiles.contains(&Resource::parse(name).unwrap()), "{name}");
    }
    assert_eq!(tiles.len(), 277);
    assert_eq!(tiles_of(256, 256), []);
    let names: Vec<_> = tiles_of(255, 256).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["tile/0/000", "tile/1/000.p/1"]);
}

/// T2 and its limits, both sides.
#[test]
fn a_bundle_with_a_byte_more_or_less_is_refused() {
    let mut bundle = Vec::new();
    assert!(push_bundle_entry(&mut bundle, b"one"));
    assert!(push_bundle_entry(&mut bundle, &[7; BUNDLE_ENTRY_BYTES_MAX]));
    assert!(!push_bundle_entry(&mut bundle, &[7; BUNDLE_ENTRY_BYTES_MAX + 1]));
    assert_eq!(bundle_entries(&bundle, 2).unwrap()[0], b"one");
    let cut = &bundle[..bundle.len() - 1];
    assert_eq!(bundle_entries(cut, 2), Err(BundleError::Cut { entry_idx: 1 }));
    let count = |found, expected| Err(BundleError::Count { found, expected });
    assert_eq!(bundle_entries(&bundle, 1), count(2, 1));
    assert_eq!(bundle_entries(&bundle, 3), count(2, 3));
    bundle.push(0);
    assert_eq!(bundle_entries(&bundle, 2), Err(BundleError::Cut { entry_idx: 2 }));
}

#[test]
fn what_is_no_note_is_refused_with_its_place() {
    let good = "a\n\n\u{2014} name AAAAAQE=\n";
    assert_eq!(Note::parse(good.as_bytes()).unwrap().text, "a\n");
    for (bad, error) in [
        ("", NoteError::Shape),
        ("a\n", NoteError::Shape),
        ("a\n\n", NoteError::Shape),
        ("a\n\n\u{2014} name AAAAAQE=", NoteError::Shape),
        ("a\n\n- name AAAAAQE=\n", NoteError::Signature { line_idx: 0 }),
        ("a\n\n\u{2014} name AAAAAQ==\n", NoteError::Signature { line_idx: 0 }),
        ("a\n\n\u{2014} na+me AAAAAQE=\n", NoteError::Signature { line_idx: 0 }),
        ("a\r\n\n\u{2014} name AAAAAQE=\n", NoteError::Text { at: 1 }),
    ] {
        assert_eq!(Note::parse(bad.as_bytes()), Err(error), "{bad:?}");
    }
    let line = "\u{2014} name AAAAAQE=\n";
    let many = format!("a\n\n{}", line.repeat(SIGNATURES_MAX));
    assert!(Note::parse(many.as_bytes()).is_ok());
    assert_eq!(Note::parse(format!("{many}{line}").as_bytes()), Err(NoteError::Signatures));
    assert_eq!(Note::parse(&vec![b'a'; NOTE_BYTES_MAX + 1]), Err(NoteError::TooLong));
    for text in ["a\n1\n", "a\n01\nAA==\n", "a\n1\nAA==\n", "\n1\nAA==\n", "a\n-1\nAA==\n", "a"] {
        assert!(Checkpoint::parse(text).is_err(), "accepted {text:?}");
    }
}

fn signer(name: &str, kind: KeyKind, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, kind, &[seed; 32]).unwrap()
}

fn text_of(size: u64) -> String {
    let root = leaf_hash(&size.to_be_bytes());
    Checkpoint { origin: "log.example/1", size, root, extensions: vec![] }.to_string()
}

fn signed(text: &str, signers: &[&NoteSigner], time_s: u64) -> String {
    let lines: Vec<_> = signers.iter().map(|signer| signer.sign(text, time_s).unwrap()).collect();
    Note { text, signatures: lines }.to_string()
}

/// Every kind of key signs, is read back from its texts, and does not vouch for another text,
/// time or name.
#[test]
fn each_kind_of_key_signs_what_it_says_and_nothing_else() {
    let text = text_of(7);
    for kind in [KeyKind::Ed25519, KeyKind::CosignatureV1, KeyKind::MlDsa44] {
        let one = NoteSigner::random("log.example/1", kind, &SimEntropy::new(3)).unwrap();
        let again: NoteSigner = one.store().parse().unwrap();
        assert_eq!(again.public(), one.public());
        let public: VerifierKey = one.public().to_string().parse().unwrap();
        assert_eq!(&public, one.public());
        let line = again.sign(&text, 1_800_000_000).unwrap();
        let time_s = if kind == KeyKind::Ed25519 { 0 } else { 1_800_000_000 };
        assert_eq!(public.verify(&text, &line.signature), Some(time_s));
        assert_eq!(public.verify(&text_of(8), &line.signature), None);
        for at in [0, 7, 8, line.signature.len() - 1] {
            let mut changed = line.signature.clone();
            changed[at] ^= 1;
            assert_eq!(public.verify(&text, &changed), None, "{kind:?} at {at}");
        }
        assert_eq!(public.verify(&text, &[]), None);
        let other = signer("log.example/1", kind, 9);
        assert_eq!(other.public().verify(&text, &line.signature), None);
        assert!(!format!("{one:?}").contains(one.store().as_str().rsplit('+').next().unwrap()));
    }
    assert!(signer("log", KeyKind::MlDsa44, 1).sign("no checkpoint\n", 0).is_err());
}

#[test]
fn a_verifier_key_with_a_part_changed_is_refused() {
    let good = signer("log.example/1", KeyKind::Ed25519, 1).public().to_string();
    assert!(good.parse::<VerifierKey>().is_ok());
    let (name, rest) = good.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    for (text, error) in [
        (String::new(), VkeyError::Shape),
        (format!("{name}+{id}"), VkeyError::Shape),
        (format!("{name}x+{id}+{key}"), VkeyError::Id),
        (format!("{name}+00000000+{key}"), VkeyError::Id),
        (format!("{name}+{id}+{}", base64::encode(&[2; 33])), VkeyError::Kind { code: 2 }),
        (
            format!("{name}+{id}+{}", base64::encode(&[1; 32])),
            VkeyError::Length { found_bytes: 31, needed_bytes: 32 },
        ),
        (format!("a b+{id}+{key}"), VkeyError::Name),
    ] {
        assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
    }
}

/// `signed-note`: unknown keys are ignored, a known key's wrong signature spoils the note.
#[test]
fn unknown_signatures_are_ignored_and_a_wrong_known_one_is_not() {
    let text = text_of(1);
    let (log, other) = (
        signer("log.example/1", KeyKind::Ed25519, 1),
        signer("log.example/1", KeyKind::Ed25519, 2),
    );
    let both = signed(&text, &[&other, &log], 0);
    let note = Note::parse(both.as_bytes()).unwrap();
    assert_eq!(note.signed_by(log.public()), Some(Ok(0)));
    let mut forged = note.clone();
    forged.signatures.push(SignatureLine {
        signature: other.sign(&text, 0).unwrap().signature,
        ..log.sign(&text, 0).unwrap()
    });
    assert_eq!(forged.signed_by(log.public()), Some(Err(())));
    let alone = signed(&text, &[&other], 0);
    assert_eq!(Note::parse(alone.as_bytes()).unwrap().signed_by(log.public()), None);
}

/// A log, three witnesses of two operators, one of them the log's own.
fn policy_text() -> (String, [NoteSigner; 4]) {
    let signers = [
        signer("log.example/1", KeyKind::Ed25519, 1),
        signer("log.example/w", KeyKind::CosignatureV1, 2),
        signer("w.example/a", KeyKind::CosignatureV1, 3),
        signer("w.example/b", KeyKind::MlDsa44, 4),
    ];
    let [log, own, a, b] = signers.each_ref().map(NoteSigner::public);
    let text = format!(
        "# who is trusted\nlog {log} https://log.example/1\nwitness own {own}\n\
         witness a\t{a} https://w.example/a\n  witness b {b}\n\ngroup w any a b\n\
         group all 2 own w\nquorum all\n"
    );
    (text, signers)
}

/// Operators: the log's own witness counts for the quorum and is told apart.
#[test]
fn a_quorum_that_needs_the_logs_own_operator_says_so() {
    let (text, [log, own, a, b]) = policy_text();
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let note = |signers: &[&NoteSigner]| signed(&text_of(5), signers, 1_800_000_000);
    let judge =
        |policy: &Policy, note: &str| policy.judge(&Note::parse(note.as_bytes()).unwrap()).unwrap();
    let missed = judge(&policy, &note(&[&log, &a, &b]));
    assert_eq!(
        (missed.quorum, missed.is_good(), missed.cosigned.len()),
        (Quorum::Missed, false, 2)
    );
    let met = judge(&policy, &note(&[&log, &own, &b]));
    assert_eq!((met.quorum, met.is_good()), (Quorum::MetByOwn, true));
    let operators: Vec<_> =
        met.cosigned.iter().map(|c| (c.operator.as_str(), c.is_own, c.time_s)).collect();
    let at = 1_800_000_000;
    assert_eq!(operators, [("w.example", false, at), ("log.example", true, at)]);
    // The same witness, said to be run by somebody else.
    let apart = Policy::parse(format!("{text}#operator audit own\n").as_bytes()).unwrap();
    assert_eq!(judge(&apart, &note(&[&log, &own, &b])).quorum, Quorum::Met);
    let unsigned = judge(&policy, &note(&[&own, &a]));
    assert!(unsigned.quorum == Quorum::MetByOwn && !unsigned.is_good());
    assert_eq!(
        judge(&Policy::of_logs(vec![log.public().clone()]), &note(&[&log])).quorum,
        Quorum::None
    );
    let urls: Vec<_> = policy.witness_urls().map(|(name, _, url)| (name, url)).collect();
    assert_eq!(urls, [("a", "https://w.example/a")]);
}

#[test]
fn what_is_no_policy_is_refused_with_its_line() {
    let (good, signers) = policy_text();
    let a = signers[2].public();
    for (bad, part) in [
        (String::new(), "no `quorum` line"),
        ("quorum none\nquorum none\n".to_owned(), "line 2"),
        ("quorum w\n".to_owned(), "not defined"),
        (format!("{good}witness c {a}\n"), "a second time"),
        (format!("witness none {a}\nquorum none\n"), "taken"),
        (format!("{good}group z any a\n"), "a member already"),
        ("group z 2 a\nquorum none\n".to_owned(), "can never be met"),
        ("group z 0 a\nquorum none\n".to_owned(), "can never be met"),
        ("group z any\nquorum none\n".to_owned(), "can never be met"),
        (format!("log {a}\nquorum none\n"), "signs checkpoints"),
        (format!("witness x {}\nquorum x\n", signers[0].public()), "cosigns"),
        ("log x\nquorum none\n".to_owned(), "verifier key"),
        ("hello\nquorum none\n".to_owned(), "no line of a policy"),
        ("quorum none\r\n".to_owned(), "control characters"),
    ] {
        let error = Policy::parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{bad:?}: {error}");
    }
}

/// All leaf hashes of a tree as its nodes: slow, and plainly right.
struct Leaves(Vec<Hash>);

impl Nodes for Leaves {
    type Error = std::convert::Infallible;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let n = 1_usize << level;
        let start = usize::try_from(index).unwrap() * n;
        let mut frontier = Frontier::new();
        self.0[start..start + n].iter().for_each(|hash| frontier.push(*hash));
        Ok(frontier.root())
    }
}

fn leaves(n: usize, seed: u64) -> Vec<Hash> {
    let mut chance = SplitMix::new(seed);
    (0..n).map(|_| leaf_hash(&chance.draw().to_le_bytes())).collect()
}

fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|hash| frontier.push(*hash));
    frontier.root()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// T1: a proof that was made verifies, and with any one bit changed does not.
    #[test]
    fn proofs_verify_and_with_one_bit_changed_do_not(
        size in 1_usize..700, at in any::<u64>(), old in any::<u64>(), bit in any::<usize>(),
    ) {
        let all = leaves(size, at);
        let (n, root) = (size as u64, root_of(&all));
        let (index, old_size) = (at % n, old % n + 1);
        let old_root = root_of(&all[..usize::try_from(old_size).unwrap()]);
        let leaf = all[usize::try_from(index).unwrap()];
        let mut nodes = Leaves(all);
        let proof = prove_inclusion(&mut nodes, index, n).unwrap();
        prop_assert_eq!(verify_inclusion(index, n, &leaf, &proof, &root), Ok(()));
        let link = prove_consistency(&mut nodes, old_size, n).unwrap();
        prop_assert_eq!(verify_consistency(old_size, n, &link, &old_root, &root), Ok(()));
        let flip = |hashes: &[Hash]| {
            let mut bytes = hashes.as_flattened().to_vec();
            let place = bit % (bytes.len() * 8);
            bytes[place / 8] ^= 1 << (place % 8);
            bytes.as_chunks::<32>().0.to_vec()
        };
        if !proof.is_empty() {
            prop_assert!(verify_inclusion(index, n, &leaf, &flip(&proof), &root).is_err());
            prop_assert!(verify_inclusion(index ^ 1, n, &leaf, &proof, &root).is_err());
        }
        prop_assert!(verify_inclusion(index, n, &flip(&[leaf])[0], &proof, &root).is_err());
        prop_assert!(verify_inclusion(index, n, &leaf, &proof, &flip(&[root])[0]).is_err());
        if !link.is_empty() {
            prop_assert!(verify_consistency(old_size, n, &flip(&link), &old_root, &root).is_err());
        }
        let other = flip(&[old_root])[0];
        prop_assert!(verify_consistency(old_size, n, &link, &other, &root).is_err());
    }

    /// A proof as text: it reads back, verifies, and with one byte changed is refused or
    /// proves nothing: only what nothing vouches for (`extra`) may differ.
    #[test]
    fn a_proof_text_with_one_byte_changed_is_not_believed(
        size in 1_usize..300, at in any::<u64>(), place in any::<usize>(), change in 1_u8..=255,
    ) {
        let all = leaves(size, at);
        let (n, root) = (size as u64, root_of(&all));
        let index = at % n;
        let leaf = all[usize::try_from(index).unwrap()];
        let hashes = prove_inclusion(&mut Leaves(all), index, n).unwrap();
        let log = signer("log.example/1", KeyKind::Ed25519, 1);
        let text = Checkpoint { origin: "log.example/1", size: n, root, extensions: vec![] };
        let checkpoint = signed(&text.to_string(), &[&log], 0);
        let proof = TlogProof { extra: None, index, hashes, checkpoint };
        let bytes = proof.to_string().into_bytes();
        prop_assert_eq!(&TlogProof::parse(&bytes).unwrap(), &proof);
        let policy = Policy::of_logs(vec![log.public().clone()]);
        let is_believed = |bytes: &[u8]| {
            let Ok(proof) = TlogProof::parse(bytes) else { return false };
            let Ok((note, _)) = proof.verify(&leaf) else { return false };
            policy.judge(&note).is_ok_and(|judgement| judgement.is_good())
        };
        prop_assert!(is_believed(&bytes));
        let mut changed = bytes.clone();
        let place = place % changed.len();
        changed[place] ^= change;
        prop_assert!(!is_believed(&changed), "byte {} of {}", place, String::from_utf8_lossy(&bytes));
    }

    /// Nothing that is read makes a reader panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Note::parse(&bytes).map(|note| Checkpoint::parse(note.text).is_ok());
        let _ = TlogProof::parse(&bytes);
        let _ = Policy::parse(&bytes);
        let _ = bundle_entries(&bytes, 3);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = Resource::parse(text);
            let _ = text.parse::<VerifierKey>();
            let _ = text.parse::<NoteSigner>();
            let _ = SignatureLine::parse(text);
        }
    }
}

/// Nodes out of tiles are those of the tree itself, for every size around a tile's edge.
#[test]
fn proofs_out_of_tiles_are_those_of_the_tree() {
    let all = leaves(66_000, 5);
    for size in [1_u64, 2, 255, 256, 257, 511, 65_535, 65_536, 65_800] {
        let n = usize::try_from(size).unwrap();
        let read = |tile: &Resource| {
            let Resource::Tile { level, index, width } = tile else { return Err("no tile") };
            let span = 256_usize.pow(u32::from(*level));
            let first = usize::try_from(*index).unwrap() * 256 * span;
            let hashes = (0..usize::from(*width)).map(|at| {
                let start = first + at * span;
                root_of(&all[start..start + span])
            });
            Ok(hashes.flatten().collect::<Vec<u8>>())
        };
        let mut nodes = TileNodes::new(size, read);
        let root = root_of(&all[..n]);
        assert_eq!(subtree_root(&mut nodes, size).unwrap(), root, "size {size}");
        for index in [0, size / 2, size - 1] {
            let proof = prove_inclusion(&mut nodes, index, size).unwrap();
            let leaf = all[usize::try_from(index).unwrap()];
            assert_eq!(verify_inclusion(index, size, &leaf, &proof, &root), Ok(()));
        }
        assert!(nodes.node(0, size).is_err());
    }
}
