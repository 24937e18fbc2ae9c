//! Tests of permits.

use std::collections::BTreeSet;

use super::*;
use crate::keys::{Keys, NewKey};
use crate::mac::MacKey;
use crate::scopes::{ModelScope, Scopes};
use crate::seed::Seed;

/// The policies of an environment that has none, or the starter's: both let keys ask models.
fn policies() -> Policies {
    crate::policy::as_issued("demo".parse().unwrap()).unwrap()
}

fn scene(policies: &Policies) -> Scene<'_> {
    let at = bartizan_core::Stamp {
        wall_ns: 0,
        raw_ns: 0,
        mono_ns: 0,
        source: bartizan_core::ClockSource::Simulated,
        error_ns: 0,
    };
    let circumstances = Circumstances { listener: "inference", zone: Zone::Loopback, at };
    Scene { policies, circumstances }
}

fn infer(
    holder: &Credential,
    model: &ModelName,
    purpose: Option<&str>,
    asserted: &[Assertion],
) -> Result<Permit, Denied> {
    let version = Some(ModelVersion::FIRST);
    permit_infer(scene(&policies()), holder, InferAsk { model, version, purpose, asserted })
}

fn describe(holder: &Credential, model: Option<&ModelName>) -> Result<DescribePermit, Denied> {
    permit_describe(scene(&policies()), holder, model.map(|name| (name, None)))
}

fn admin(holder: &Credential) -> Result<AdminPermit, Denied> {
    permit_admin(holder, "admin", Zone::Loopback)
}

fn credential(scopes: Scopes) -> Credential {
    let entropy = Seed::new(1);
    let mut keys = Keys::new("demo".parse().unwrap(), MacKey::random(&entropy));
    let new = NewKey { principal: "ann".parse().unwrap(), scopes, ttl_s: 10 };
    let text = keys.issue(&new, 0, &entropy).unwrap().reveal();
    keys.ring().authenticate(&text, 0).unwrap()
}

fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

fn only_fraud() -> Scopes {
    Scopes::inference(ModelScope::Some([model("fraud")].into()))
}

fn with_purposes(purposes: &[&str], may_assert: &[Assertion]) -> Scopes {
    let purposes = purposes.iter().map(|text| (*text).to_owned()).collect();
    Scopes { purposes, may_assert: may_assert.iter().copied().collect(), ..only_fraud() }
}

/// P2: the whole table of credentials with one action each against every act.
#[test]
fn each_action_covers_its_own_act_and_no_other() {
    for held in Action::ALL {
        let scopes =
            Scopes { actions: BTreeSet::from([*held]), ..Scopes::inference(ModelScope::All) };
        let holder = credential(scopes);
        let acts = [
            (Action::Infer, infer(&holder, &model("fraud"), None, &[]).err()),
            (Action::Describe, describe(&holder, Some(&model("fraud"))).err()),
            (Action::Describe, describe(&holder, None).err()),
            (Action::Admin, admin(&holder).err()),
            (Action::Metrics, permit_metrics(scene(&policies()), &holder).err()),
            (Action::Trace, permit_trace(scene(&policies()), &holder, "x", None).err()),
        ];
        let tried: BTreeSet<_> = acts.iter().map(|(action, _)| *action).collect();
        assert_eq!(tried.len(), Action::ALL.len(), "an action has no act in this table");
        for (needed, denied) in acts {
            let expected = (*held != needed).then_some(Denied::Action(needed));
            assert_eq!(denied, expected, "{held} against {needed}");
        }
    }
}

/// P1 and P4: the permit carries what was asked for and what the credential says.
#[test]
fn a_permit_is_for_one_model_and_carries_the_obligations() {
    let mut scopes = only_fraud();
    scopes.obligations.label_only = true;
    let holder = credential(scopes);
    let permit = infer(&holder, &model("fraud"), None, &[]).unwrap();
    assert_eq!(permit.model(), &model("fraud"));
    assert_eq!(permit.principal(), holder.principal());
    assert_eq!((permit.purpose(), permit.expires_s()), (None, 10));
    assert!(permit.obligations().label_only);
    assert!(!format!("{permit:?}").contains("ann"));
    assert_eq!(infer(&holder, &model("churn"), None, &[]).unwrap_err(), Denied::Model);
    assert_eq!(describe(&holder, Some(&model("churn"))).unwrap_err(), Denied::Model);
    assert!(describe(&holder, Some(&model("fraud"))).is_ok());
}

/// The whole table of purposes: what the credential lists, whether it may assert, what is asked.
#[test]
fn a_purpose_is_the_credentials_or_none() {
    let may: &[Assertion] = &[Assertion::Purpose];
    for (listed, may_assert, asked, expected) in [
        (&[][..], &[][..], None, Ok(None)),
        (&[], &[], Some("x"), Err(Denied::Assertion(Assertion::Purpose))),
        (&[], may, None, Ok(None)),
        (&[], may, Some("x"), Ok(Some("x"))),
        (&["a"], &[], None, Ok(Some("a"))),
        (&["a"], &[], Some("a"), Err(Denied::Assertion(Assertion::Purpose))),
        (&["a"], may, Some("a"), Ok(Some("a"))),
        (&["a"], may, Some("A"), Err(Denied::Purpose)),
        (&["a"], may, Some(""), Err(Denied::Purpose)),
        (&["a", "b"], may, None, Err(Denied::PurposeMissing)),
        (&["a", "b"], may, Some("b"), Ok(Some("b"))),
        (&["a", "b"], may, Some("c"), Err(Denied::Purpose)),
    ] {
        let holder = credential(with_purposes(listed, may_assert));
        let found = infer(&holder, &model("fraud"), asked, &[]);
        let found = found.map(|permit| permit.purpose().map(str::to_owned));
        assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{listed:?}, {asked:?}");
    }
}

/// P3: every assertion against every scope for one.
#[test]
fn an_assertion_needs_its_own_scope() {
    for held in Assertion::ALL {
        let holder = credential(with_purposes(&[], &[*held]));
        for asserted in Assertion::ALL {
            let denied = infer(&holder, &model("fraud"), None, &[*asserted]).err();
            let expected = (held != asserted).then_some(Denied::Assertion(*asserted));
            assert_eq!(denied, expected, "{held} against {asserted}");
        }
        let denied = infer(&holder, &model("fraud"), None, Assertion::ALL).err();
        assert!(matches!(denied, Some(Denied::Assertion(_))));
    }
    let holder = credential(with_purposes(&[], Assertion::ALL));
    assert!(infer(&holder, &model("fraud"), Some("x"), Assertion::ALL).is_ok());
}

/// The owner and root may act locally, nobody else.
#[test]
fn only_the_owner_and_root_may_act_locally() {
    let peer = |uid| LocalPeer { uid, owner_uid: 1000, pseudonym: Pseudonym([1; 16]) };
    for uid in [0, 1000] {
        let permit = permit_local(peer(uid)).unwrap();
        assert_eq!(permit.principal().name.as_str(), format!("local/{uid}"));
        assert_eq!(permit.principal().proof, AuthProof::LocalUid(uid));
        assert_eq!(permit.principal().pseudonym, Pseudonym([1; 16]));
    }
    for uid in [1, 999, 1001, u32::MAX] {
        assert_eq!(permit_local(peer(uid)).unwrap_err(), Denied::ForeignUid, "{uid}");
    }
}
