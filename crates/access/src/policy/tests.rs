//! Policies from both sides.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bartizan_core::ClockSource;
use cedar_policy::{Authorizer, Decision, PolicySet};
use proptest::prelude::*;

use super::*;

fn env() -> EnvName {
    "prod".parse().unwrap()
}

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.into(), text: text.into() }
}

fn policies(text: &str, projects: &str) -> Policies {
    Policies::new(env(), &[file("p.cedar", text)], Some(&file("projects.toml", projects)))
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn errors(text: &str, projects: &str) -> Vec<String> {
    let found =
        Policies::new(env(), &[file("p.cedar", text)], Some(&file("projects.toml", projects)));
    let found = found.err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// The starter policies with a person in each role, as the table and its test use them.
fn staffed() -> Policies {
    let [starter, _] = starter();
    let projects = file("projects.toml", include_str!("../../policies/table.toml"));
    Policies::new(env(), &[starter], Some(&projects)).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn at(minute: u64) -> Stamp {
    let wall_ns = minute * 60_000_000_000;
    Stamp { wall_ns, raw_ns: wall_ns, mono_ns: 0, source: ClockSource::Simulated, error_ns: 0 }
}

fn circumstances() -> Circumstances<'static> {
    Circumstances { listener: "inference", zone: Zone::Loopback, at: at(0) }
}

fn person<'a>(name: &'a str, groups: &'a [Box<str>]) -> Who<'a> {
    Who::Principal { name, groups, method: "oidc", strength: 0, scopes: &[] }
}

fn ask<'a>(name: &'a str, action: PolicyAction, resource: Resource<'a>) -> AccessQuestion<'a> {
    AccessQuestion {
        who: person(name, &[]),
        action,
        resource,
        purpose: None,
        circumstances: circumstances(),
    }
}

fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

fn version(name: &ModelName) -> Resource<'_> {
    Resource::Model { name, version: Some(ModelVersion::FIRST) }
}

/// Q2 and Q4: what comes with the program passes its own checks, and with nobody in a role nobody
/// but a key's holder and the machine's owner may do anything.
#[test]
fn the_starter_policies_are_in_order_and_give_nothing_to_nobody() {
    let [starter, projects] = starter();
    let policies = Policies::new(env(), &[starter], Some(&projects)).unwrap();
    let name = model("fraud");
    for action in PolicyAction::ALL {
        for resource in [Resource::Environment, Resource::Project("default"), version(&name)] {
            let ruling = policies.decide(&ask("nobody", *action, resource));
            let may = *action == PolicyAction::Describe && resource == Resource::Environment;
            assert_eq!(ruling.is_allowed, may, "{action} {resource:?}");
        }
    }
    assert!(as_issued(env()).is_ok());
}

/// Both sides of each default: a key's holder asks models that no project claimed, and only these.
#[test]
fn a_key_asks_what_no_project_has_claimed() {
    let policies = staffed();
    let (claimed, free) = (model("credit"), model("fraud"));
    let who = Who::Principal {
        name: "x",
        groups: &[],
        method: "api-key",
        strength: 0,
        scopes: &["infer"],
    };
    for (name, allowed) in [(&claimed, false), (&free, true)] {
        let question = AccessQuestion { who, ..ask("x", PolicyAction::Infer, version(name)) };
        assert_eq!(policies.decide(&question).is_allowed, allowed, "{name}");
    }
    let without = ask("x", PolicyAction::Infer, version(&free));
    assert!(!policies.decide(&without).is_allowed, "without a scope that says so");
}

/// U1 and the starter's forbids: of register, approve and deploy nobody has more than one, by his
/// own name or by groups of an identity provider, whatever roles these hold.
#[test]
fn no_single_principal_registers_approves_and_deploys_one_model() {
    let policies = staffed();
    let (name, duties) =
        (model("credit"), [PolicyAction::Register, PolicyAction::Approve, PolicyAction::Deploy]);
    // Every set of the identity provider's groups that the table gives a role.
    let idp: Vec<Box<str>> =
        ["idp/owners", "idp/scientists", "idp/reviewers", "idp/deployers"].map(Into::into).to_vec();
    let mut names: Vec<&str> = policies.projects().principals().into_iter().collect();
    names.push("somebody/else");
    for person_name in names {
        for subset in 0..1_u32 << idp.len() {
            let groups: Vec<Box<str>> = idp
                .iter()
                .enumerate()
                .filter(|(bit, _)| subset >> bit & 1 == 1)
                .map(|(_, group)| group.clone())
                .collect();
            let n_allowed = duties
                .iter()
                .filter(|duty| {
                    let who = person(person_name, &groups);
                    let question = AccessQuestion { who, ..ask("", **duty, version(&name)) };
                    policies.decide(&question).is_allowed
                })
                .count();
            assert!(n_allowed <= 1, "{person_name} {groups:?}: {n_allowed} duties");
        }
    }
    let local = AccessQuestion {
        who: Who::Local { uid: 0 },
        ..ask("", PolicyAction::Approve, version(&name))
    };
    assert!(!policies.decide(&local).is_allowed);
}

/// Whoever registered a version does not deploy it, in any stage but that of development, where one
/// person is all there is; both sides, for people of every role, groups of them, and the machine.
#[test]
fn beyond_development_nobody_deploys_what_he_registered() {
    let name = model("credit");
    let idp: Vec<Box<str>> = ["idp/scientists", "idp/deployers"].map(Into::into).to_vec();
    for stage in Stage::ALL {
        let policies = staffed().at_stage(*stage);
        let may = |who, action, by| {
            let resource = Resource::Registered { name: &name, version: None, by };
            policies.decide(&AccessQuestion { who, ..ask("", action, resource) }).is_allowed
        };
        for person_name in policies.projects().principals() {
            for groups in [&idp[..0], &idp[..1], &idp[1..], &idp[..]] {
                let (who, by) = (person(person_name, groups), Registrar::Principal(person_name));
                let both =
                    may(who, PolicyAction::Register, by) && may(who, PolicyAction::Deploy, by);
                assert!(!both, "{stage:?} {person_name} {groups:?}");
            }
        }
        let (machine, by) = (Who::Local { uid: 0 }, Registrar::Local);
        assert!(may(machine, PolicyAction::Register, by));
        assert_eq!(may(machine, PolicyAction::Deploy, by), *stage == Stage::Dev, "{stage:?}");
        assert!(may(machine, PolicyAction::Deploy, Registrar::Principal("bob")), "{stage:?}");
        let dan = person("dan", &[]);
        assert!(may(dan, PolicyAction::Deploy, Registrar::Principal("bob")), "{stage:?}");
        let own = may(dan, PolicyAction::Deploy, Registrar::Principal("dan"));
        assert_eq!(own, *stage == Stage::Dev, "{stage:?}");
    }
    let digests: BTreeSet<_> =
        Stage::ALL.iter().map(|stage| staffed().at_stage(*stage).digest()).collect();
    assert_eq!(digests.len(), Stage::ALL.len(), "a stage is part of what decides");
}

/// The table of roles, actions and resources, as docs/access-table.md has it.
pub(super) fn table(policies: &Policies) -> String {
    let people = [
        ("owner", "ann", "api-key"),
        ("data-owner", "dora", "oidc"),
        ("data-scientist", "bob", "oidc"),
        ("reviewer", "cleo", "oidc"),
        ("deployer", "dan", "oidc"),
        ("auditor", "eve", "oidc"),
        ("operator", "ops", "oidc"),
        ("workload", "svc/web", "oidc"),
        ("another's key", "stranger", "api-key"),
        ("nobody", "nobody", "oidc"),
    ];
    let (own, other, free) = (model("credit"), model("churn"), model("fraud"));
    let decided = |model| Resource::Decision { id: "d", model: Some(model) };
    let resources = [
        ("the environment", Resource::Environment),
        ("its project", Resource::Project("lending")),
        ("another project", Resource::Project("marketing")),
        ("its model", version(&own)),
        ("another's model", version(&other)),
        ("nobody's model", version(&free)),
        ("its dataset", Resource::Dataset("loans")),
        ("its decision", decided(&own)),
        ("another's decision", decided(&other)),
    ];
    let mut out = String::from("| role | action | allowed on |\n|---|---|---|\n");
    let local = ("local user", "", "local");
    for (role, name, method) in people.into_iter().chain([local]) {
        for action in PolicyAction::ALL {
            let mut on = Vec::new();
            for (text, resource) in resources {
                let who = match method {
                    "local" => Who::Local { uid: 1_000 },
                    "api-key" => {
                        let scopes = &["infer", "describe"];
                        Who::Principal { name, groups: &[], method, strength: 0, scopes }
                    }
                    _ => Who::Principal { name, groups: &[], method, strength: 0, scopes: &[] },
                };
                let question = AccessQuestion { who, ..ask(name, *action, resource) };
                if policies.decide(&question).is_allowed {
                    on.push(text);
                }
            }
            if !on.is_empty() {
                writeln!(out, "| {role} | {action} | {} |", on.join(", ")).unwrap();
            }
        }
    }
    out
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access-table.md");

/// `BARTIZAN_WRITE_TABLE=1 cargo test -p bartizan-access the_table` writes it anew.
#[test]
fn the_table_that_is_checked_in_is_what_the_starter_policies_say() {
    let head = "# Who may do what with the starter policies\n\n\
        Generated from `crates/access/policies/starter.cedar` with the people of\n\
        `crates/access/policies/table.toml`: one in each role of the project `lending`, whose are\n\
        the model `credit` and the dataset `loans`. What is not in the table is denied. A key's\n\
        scopes narrow further.\n\n";
    let current = format!("{head}{}", table(&staffed()));
    if std::env::var_os("BARTIZAN_WRITE_TABLE").is_some() {
        std::fs::write(TABLE, &current).unwrap();
    }
    let found = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert!(found == current, "docs/access-table.md is stale; see this test");
}

/// Q4: each error names file, line and policy, and says what would be right.
#[test]
fn what_is_wrong_with_policies_is_said_with_its_place_and_the_way_out() {
    let permit = "permit (principal, action, resource)";
    for (text, expected) in [
        (format!("{permit};"), "p.cedar:1: a policy names itself: put `@id(\"some-name\")`"),
        (
            format!("@id(\"a\")\n{permit};\n\n@id(\"a\")\n{permit};"),
            "p.cedar:4: policy `a`: p.cedar:1 has a policy of this id",
        ),
        (
            format!("\n@id(\"a\") @topk(\"3\")\n{permit};"),
            "p.cedar:2: policy `a`: there is no annotation `@topk`",
        ),
        (
            format!("@id(\"a\") @topK(\"0\")\n{permit};"),
            "p.cedar:1: policy `a`: `@topK` is a number from 1",
        ),
        (
            format!("@id(\"a\") @people(\"2\")\n{permit};"),
            "policy `a`: `@people` is not enforced by this release",
        ),
        (
            format!("@id(\"a\") @retention(\"ever\")\n{permit};"),
            "policy `a`: `@retention` is brief, standard or long, not `ever`",
        ),
        (
            format!("@id(\"a\") @rowsPerDay(\"0\")\n{permit};"),
            "policy `a`: `@rowsPerDay` is a number from 1",
        ),
        (
            "@id(\"a\") @digits(\"2\") forbid (principal, action, resource);".into(),
            "policy `a`: `@digits` obliges whom a policy permits",
        ),
        ("@id(\"a\")\npermit (principal, action resource);".into(), "p.cedar:2: "),
        (
            "\n\n@id(\"a\")\npermit (principal, action == Action::\"infre\", resource);".into(),
            "p.cedar:3: policy `a`: ",
        ),
        (
            format!("@id(\"a\")\n{permit} when {{ context.porpose == \"x\" }};"),
            "p.cedar:1: policy `a`: ",
        ),
        // A purpose may be absent, so that asking for it unguarded could fail.
        (
            format!("@id(\"a\")\n{permit} when {{ context.purpose == \"x\" }};"),
            "p.cedar:1: policy `a`: ",
        ),
        // What can never apply is not what its author meant.
        (
            format!("@id(\"a\")\n{permit} when {{ principal == resource }};"),
            "p.cedar:1: policy `a`: ",
        ),
        ("@id(\"a\")\npermit (principal == ?principal, action, resource);".into(), "templates"),
    ] {
        let found = errors(&text, "");
        assert!(found.iter().any(|error| error.contains(expected)), "{text}: {found:?}");
    }
    assert_eq!(errors(&format!("@id(\"a\")\n{permit};"), ""), Vec::<String>::new());
}

/// U1 and U2 from both sides.
#[test]
fn what_is_wrong_with_projects_is_said_with_its_place() {
    for (text, expected) in [
        ("[roles]\noperator = [\"a\"]\nboss = [\"b\"]\n", "projects.toml:3: "),
        ("[roles]\noperator = [\"a b\"]\n", "projects.toml:2: `a b`: a principal's name"),
        (
            "[roles]\nreviewer = [\"ann\"]\n[projects.p.roles]\ndeployer = [\"ann\"]\n",
            "`ann`: in project `p` it is reviewer and deployer at once",
        ),
        (
            "[groups]\ng = [\"ann\"]\n[projects.p.roles]\ndata-scientist = [\"group:g\"]\nreviewer = [\"ann\"]\n",
            "`ann`: in project `p` it is data-scientist and reviewer at once",
        ),
        (
            "[projects.p]\nmodels = [\"m\"]\n[projects.q]\nmodels = [\"m\"]\n",
            "`m`: it is in the projects `p` and `q`",
        ),
        ("[roles]\nauditor = [\"group:project:p/owners\"]\n", "list the holders"),
        ("[groups]\n\"a/b\" = []\n", "without `/`"),
    ] {
        let found = errors("", text);
        assert!(found.iter().any(|error| error.contains(expected)), "{text}: {found:?}");
    }
    let fine =
        "[projects.p.roles]\nreviewer = [\"ann\"]\n[projects.q.roles]\ndeployer = [\"ann\"]\n";
    assert_eq!(errors("", fine), Vec::<String>::new());
    let own = file("project-p.cedar", "@id(\"x\")\npermit (principal, action, resource);");
    let projects = file("projects.toml", "[projects.p]\n");
    let found = Policies::new(env(), std::slice::from_ref(&own), Some(&projects)).unwrap_err();
    assert!(found[0].reason.contains("resource in Project::\"p\""), "{found:?}");
    let own =
        PolicyFile { text: own.text.replace("resource)", "resource in Project::\"p\")"), ..own };
    assert!(Policies::new(env(), std::slice::from_ref(&own), Some(&projects)).is_ok());
    assert!(Policies::new(env(), &[own], None).is_err());
}

/// U3: the file is bounded, from both sides.
#[test]
fn there_are_at_most_so_many_projects() {
    let text = |n: usize| (0..n).map(|n| format!("[projects.p{n}]\n")).collect::<String>();
    assert_eq!(errors("", &text(PROJECTS_MAX)), Vec::<String>::new());
    assert!(errors("", &text(PROJECTS_MAX + 1))[0].contains("more than 1024 projects"));
}

/// Q3: a policy that fails is a no, though Cedar would skip it and a permit applies.
#[test]
fn a_policy_that_fails_denies() {
    let text = "@id(\"all\")\npermit (principal, action == Action::\"infer\", resource);\n\
                @id(\"overflow\")\nforbid (principal, action == Action::\"infer\", resource)\n\
                when { context.time.minute + 9223372036854775807 > 0 && resource.version > 1 };";
    let policies = policies(text, "");
    let name = model("m");
    let question = ask("a", PolicyAction::Infer, version(&name));
    assert!(policies.decide(&question).is_allowed, "at minute 0 nothing overflows");
    let later = Circumstances { at: at(1), ..circumstances() };
    let ruling = policies.decide(&AccessQuestion { circumstances: later, ..question });
    assert!(!ruling.is_allowed);
    assert!(ruling.faults[0].contains("overflow"), "{ruling:?}");
}

/// The strictest obligation of all policies that permit holds; those of policies that do not apply
/// oblige nobody.
#[test]
fn the_strictest_obligations_of_those_that_permit_hold() {
    let text = "@id(\"a\") @topK(\"3\") @digits(\"4\") @outputs(\"label, scores\")\n\
                permit (principal in Group::\"g\", action == Action::\"infer\", resource);\n\
                @id(\"b\") @topK(\"5\") @digits(\"2\")\n\
                permit (principal, action in Action::\"use\", resource);\n\
                @id(\"c\") @labelOnly(\"true\")\n\
                permit (principal == Principal::\"bob\", action, resource);";
    let policies = policies(text, "[groups]\ng = [\"ann\"]\n");
    let name = model("m");
    let ruling = policies.decide(&ask("ann", PolicyAction::Infer, version(&name)));
    assert_eq!(ruling.policies.iter().map(|id| &**id).collect::<Vec<_>>(), ["a", "b"]);
    let obligations = &ruling.obligations;
    assert_eq!(
        (obligations.top_k, obligations.digits, obligations.label_only),
        (Some(3), Some(2), false)
    );
    assert_eq!(obligations.outputs.as_ref().map(BTreeSet::len), Some(2));
    let ruling = policies.decide(&ask("bob", PolicyAction::Infer, version(&name)));
    assert!(ruling.obligations.label_only && ruling.obligations.outputs.is_none());
}

/// Q5 and F1: time counts where a policy speaks of it, purpose, zone and groups always.
#[test]
fn a_ruling_is_not_given_again_where_anything_that_it_depends_on_changed() {
    let text = "@id(\"hours\")\npermit (principal, action == Action::\"infer\", resource)\n\
                when { context.time.hour == 0 && context has purpose && context.purpose == \"a\" &&\n\
                context.zone == \"loopback\" };";
    let policies = policies(text, "");
    let name = model("m");
    let good =
        AccessQuestion { purpose: Some("a"), ..ask("x", PolicyAction::Infer, version(&name)) };
    let wrong = [
        AccessQuestion { purpose: Some("b"), ..good },
        AccessQuestion { purpose: None, ..good },
        AccessQuestion { action: PolicyAction::Explain, ..good },
        AccessQuestion { circumstances: Circumstances { at: at(60), ..circumstances() }, ..good },
        AccessQuestion {
            circumstances: Circumstances { zone: Zone::Public, ..circumstances() },
            ..good
        },
    ];
    for _ in 0..2 {
        assert!(policies.decide(&good).is_allowed);
        for question in &wrong {
            assert!(!policies.decide(question).is_allowed, "{question:?}");
        }
    }
}

#[test]
fn an_address_lies_in_its_zone() {
    for (address, zone) in [
        ("127.0.0.1", Zone::Loopback),
        ("::1", Zone::Loopback),
        ("::ffff:127.0.0.1", Zone::Loopback),
        ("10.0.0.1", Zone::Private),
        ("100.64.0.1", Zone::Private),
        ("fd00::1", Zone::Private),
        ("100.128.0.1", Zone::Public),
        ("8.8.8.8", Zone::Public),
        ("2001:db8::1", Zone::Public),
    ] {
        assert_eq!(Zone::of(address.parse().unwrap()), zone, "{address}");
    }
}

/// One policy of the generated sets: whom, what, on what.
fn any_policy() -> impl Strategy<Value = (bool, usize, usize, usize)> {
    (any::<bool>(), 0..5_usize, 0..4_usize, 0..4_usize)
}

fn write_policies(all: &[(bool, usize, usize, usize)]) -> String {
    const WHOM: [&str; 5] = [
        "principal",
        "principal == Principal::\"ann\"",
        "principal in Group::\"g\"",
        "principal in Role::\"auditor\"",
        "principal is LocalUser",
    ];
    const WHAT: [&str; 4] = [
        "action",
        "action == Action::\"infer\"",
        "action in Action::\"use\"",
        "action in [Action::\"deploy\", Action::\"explain\"]",
    ];
    const ON: [&str; 4] = [
        "resource",
        "resource is ModelVersion",
        "resource in Project::\"lending\"",
        "resource == ModelVersion::\"credit/1\"",
    ];
    let mut text = String::new();
    for (n, (forbids, whom, what, on)) in all.iter().enumerate() {
        let effect = if *forbids { "forbid" } else { "permit" };
        let scope = format!("{}, {}, {}", WHOM[*whom], WHAT[*what], ON[*on]);
        writeln!(text, "@id(\"p{n}\") {effect} ({scope});").unwrap();
    }
    text
}

fn some_questions<'a>(names: &'a [ModelName; 2]) -> Vec<AccessQuestion<'a>> {
    let mut all = Vec::new();
    let whos = [person("ann", &[]), person("bob", &[]), person("eve", &[]), Who::Local { uid: 7 }];
    for who in whos {
        for action in [PolicyAction::Infer, PolicyAction::Explain, PolicyAction::Deploy] {
            for name in names {
                all.push(AccessQuestion { who, ..ask("", action, version(name)) });
            }
        }
    }
    all
}

const SOME_PROJECTS: &str = "[groups]\ng = [\"bob\"]\n[roles]\nauditor = [\"eve\"]\n[projects.lending]\nmodels = [\"credit\"]\n";

/// Sets whose every policy can apply; what the schema makes impossible is refused at load.
fn usable(all: &[(bool, usize, usize, usize)]) -> Option<Policies> {
    let text = write_policies(all);
    Policies::new(env(), &[file("p.cedar", &text)], Some(&file("projects.toml", SOME_PROJECTS)))
        .ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Q2: adding a forbid never permits more.
    #[test]
    fn adding_a_forbid_never_permits_more(
        all in proptest::collection::vec(any_policy(), 0..8),
        (whom, what, on) in (0..5_usize, 0..4_usize, 0..4_usize),
    ) {
        let names = [model("credit"), model("fraud")];
        let mut more = all.clone();
        more.push((true, whom, what, on));
        if let (Some(before), Some(after)) = (usable(&all), usable(&more)) {
            for question in some_questions(&names) {
                let allowed = after.decide(&question).is_allowed;
                prop_assert!(!allowed || before.decide(&question).is_allowed, "{question:?}");
            }
        }
    }

    /// What the slices say together is what Cedar says of the whole set, with the same reasons.
    #[test]
    fn slices_say_what_the_whole_says(all in proptest::collection::vec(any_policy(), 0..8)) {
        let names = [model("credit"), model("fraud")];
        let Some(policies) = usable(&all) else { return Ok(()) };
        let whole = PolicySet::from_policies(policies.texts.values().cloned()).unwrap();
        for question in some_questions(&names) {
            let asked =
                policies.directory.ask(&question, &policies).unwrap();
            let answer =
                Authorizer::new().is_authorized(&asked.request, &whole, &asked.entities);
            let reasons: BTreeSet<String> =
                answer.diagnostics().reason().map(ToString::to_string).collect();
            let ruling = policies.decide(&question);
            prop_assert_eq!(ruling.is_allowed, answer.decision() == Decision::Allow);
            let ours: BTreeSet<String> =
                ruling.policies.iter().map(ToString::to_string).collect();
            prop_assert_eq!(ours, reasons);
        }
    }
}
