//! Rules 3 to 8: every operation, for every combination of what can be known of a caller, against an oracle that
//! reads like docs/behaviour.md. It writes exactly where the caller may, and says why where the caller may not.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::thread;

use asset_uploads::domain::api_key::Scope;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::error::{ApiError, AuthError};
use asset_uploads::store::rights::{Access, CheckRights, Identity, Permission};
use asset_uploads::store::{Param, Rows, Statement};
use rusqlite::Connection;
use serde_json::Value;

use crate::sqlite::callers::{
    Ancestry, CallerFixtures, CallerState, Impersonator, KeyState, Membership, NAMED, Place, all_keys,
    all_states, oracle,
};
use crate::sqlite::operations::{self, AnyOperation, Kind, Target};
use crate::sqlite::{self, Key, NOW, Person, run, run_with_identity};

/// What came of an operation.
struct Outcome {
    identity: Identity,
    result: Result<(), ApiError>,
    /// Whether any row was written.
    wrote: bool,
    /// The last row that a statement returned.
    row: Value,
}

fn run_any(conn: &Connection, operation: &dyn AnyOperation) -> Outcome {
    let before = conn.total_changes();
    let texts = sqlite::transact(conn, &operation.any_statements()).unwrap();
    let wrote = conn.total_changes() > before;
    let row = texts
        .iter()
        .rfind(|rows| !rows.is_empty())
        .and_then(|rows| rows.first())
        .map_or(Value::Null, |row| serde_json::from_str(row).unwrap());
    let (identity, result) = operation.any_decode(&Rows { texts });
    Outcome { identity, result, wrote, row }
}

/// Runs one kind of operation for a caller, in each organization that a request may name: how many runs there were,
/// and how many succeeded.
fn check_caller(
    conn: &Connection,
    kind: &Kind,
    fixtures: &CallerFixtures,
    state: CallerState,
) -> (usize, usize) {
    let (mut runs, mut successes) = (0, 0);
    let insert_target = |place| kind.target.insert(conn, fixtures.org(place), &fixtures.caller);
    for named in NAMED {
        let allowed = oracle(state, named, kind.access);
        // The caller may reach one of the two at most. To who may do nothing, and to what names no upload, they are
        // the same.
        let both = allowed.is_ok() && kind.target.not_found().is_some();
        for place in [Place::Here, Place::Elsewhere].into_iter().take(if both { 2 } else { 1 }) {
            let case = || format!("{}: {state:?}, named {named:?}, target {place:?}", kind.name);
            let target = insert_target(place);
            let operation = kind.build(fixtures.caller(named, kind.access), target);
            let outcome = run_any(conn, &*operation);
            let expected = match (allowed, kind.target.not_found()) {
                (Err(error), _) => Err(ApiError::Auth(error)),
                (Ok(allowed), Some(not_found)) if allowed != Some(place) => Err(not_found),
                (Ok(_), _) => Ok(()),
            };
            assert_eq!(outcome.result, expected, "{}", case());
            assert_eq!(outcome.wrote, kind.writes && expected.is_ok(), "{}", case());
            check_identity(fixtures, state, allowed, outcome.identity, &case);
            if let (true, Ok(Some(allowed))) = (outcome.wrote, allowed) {
                let org = fixtures.org(allowed).to_string();
                assert_eq!(organization_of(conn, target), org, "{}", case());
            }
            if allowed.is_err() {
                let found = outcome.row.get("found").unwrap_or(&Value::Null);
                assert_eq!(found, &Value::Null, "{}", case());
            }
            runs += 1;
            successes += usize::from(expected.is_ok());
        }
    }
    (runs, successes)
}

/// The log has no user for an unknown key, and the organization only if the caller may act in it.
fn check_identity(
    fixtures: &CallerFixtures,
    state: CallerState,
    allowed: Result<Option<Place>, AuthError>,
    identity: Identity,
    case: &dyn Fn() -> String,
) {
    let user_id = (state.key != KeyState::Unknown).then_some(fixtures.caller.user.id);
    assert_eq!(identity.user_id, user_id, "{}", case());
    match allowed {
        Ok(place) => {
            assert_eq!(identity.org_id, place.map(|place| fixtures.org(place)), "{}", case());
        }
        Err(AuthError::OrganizationMembershipRequired) => assert_eq!(identity.org_id, None, "{}", case()),
        Err(_) => {}
    }
}

fn organization_of(conn: &Connection, target: AssetUploadId) -> String {
    let sql = "SELECT org_id FROM asset_uploads WHERE id = ?1 UNION SELECT org_id FROM folders WHERE id = ?1
               UNION SELECT org_id FROM api_keys WHERE id = ?1
               UNION SELECT org_id FROM webhooks WHERE id = ?1";
    conn.query_row(sql, [target.to_string()], |row| row.get(0)).unwrap()
}

/// Checks these kinds of operation for these callers, on as many processors as there are: for each kind how many runs
/// there were, and how many succeeded.
fn check_callers(states: &[CallerState], applies: fn(CallerState, &Kind) -> bool) -> Vec<(usize, usize)> {
    let check = |states: &[CallerState]| {
        let conn = sqlite::open();
        let kinds = operations::all();
        let mut counts = vec![(0, 0); kinds.len()];
        for state in states {
            let fixtures = CallerFixtures::insert(&conn, *state);
            for (kind, count) in kinds.iter().zip(&mut counts).filter(|(kind, _)| applies(*state, kind)) {
                let (runs, successes) = check_caller(&conn, kind, &fixtures, *state);
                *count = (count.0 + runs, count.1 + successes);
            }
        }
        counts
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let of_parts: Vec<_> = thread::scope(|scope| {
        let parts = states.chunks(states.len().div_ceil(processors));
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| check(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let add = |sum: Vec<(usize, usize)>, part: Vec<(usize, usize)>| {
        sum.into_iter().zip(part).map(|(a, b)| (a.0 + b.0, a.1 + b.1)).collect()
    };
    of_parts.into_iter().reduce(add).unwrap()
}

#[test]
fn rules_3_to_8_decide_first_in_every_operation() {
    for (runs, successes) in check_callers(&all_states(), |_, _| true) {
        // As many as there are combinations, and not all on one side.
        assert!(runs >= 6 * 3 * 2 * 2 * 6 * 4 * 4, "only {runs} runs");
        assert!(successes >= 50, "only {successes} successes");
    }
}

/// The operations of keys that were made through the API, for what counts of their callers.
#[test]
fn rules_3_and_8_hold_for_keys_of_every_scope_in_every_operation() {
    let of_keys = all_keys().into_iter().filter(|state| {
        matches!(state.key, KeyState::BoundHere | KeyState::Unbound)
            && matches!(state.ancestry, Ancestry::First | Ancestry::Fourth | Ancestry::GrandparentRevoked)
            && state.impersonator == Impersonator::None
            && state.verified
            && state.elsewhere == Membership::None
    });
    // The fourth generation makes no other.
    let applies = |state: CallerState, kind: &Kind| {
        state.ancestry != Ancestry::Fourth || !kind.name.contains("api_keys::Create")
    };
    let counts = check_callers(&of_keys.collect::<Vec<_>>(), applies);
    let (runs, successes) =
        counts.into_iter().fold((0, 0), |sum, of_kind| (sum.0 + of_kind.0, sum.1 + of_kind.1));
    assert!(runs > 8_000 && successes > 1_000, "{runs} runs, {successes} successes");
}

/// Rules 3 to 8 for every state of a key, its ancestors, its user and their memberships, and every kind of access.
#[test]
fn rules_3_to_8_hold_for_every_scope_and_ancestry() {
    let conn = sqlite::open();
    let accesses: BTreeMap<String, Access> =
        operations::all().into_iter().map(|kind| (format!("{:?}", kind.access), kind.access)).collect();
    assert_eq!(accesses.len(), 7);
    let (mut runs, mut permitted) = (0, 0);
    for state in all_keys() {
        let fixtures = CallerFixtures::insert(&conn, state);
        for named in NAMED {
            for access in accesses.values() {
                let operation = CheckRights { caller: fixtures.caller(named, *access) };
                let allowed = oracle(state, named, *access);
                let (result, identity) = run_with_identity(&conn, &operation);
                let case = || format!("{state:?}, named {named:?}, {access:?}");
                assert_eq!(result, allowed.map(drop).map_err(ApiError::Auth), "{}", case());
                check_identity(&fixtures, state, allowed, identity, &case);
                runs += 1;
                permitted += usize::from(allowed.is_ok());
            }
        }
    }
    assert!(runs > 100_000 && permitted > 2_000, "{runs} runs, {permitted} permitted");
}

/// An upload key finds no upload but those that it started: not its maker's, nor another key's of the same user.
#[test]
fn an_upload_key_finds_only_its_own_uploads() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let maker = sqlite::key_id(&conn, &editor.key);
    let key = || {
        let key =
            Key { org: Some(org), scope: Some(Scope::Upload), parent: Some(maker.clone()), ..Key::default() };
        Person { user: editor.user.clone(), key: sqlite::key(&conn, &editor.user, key) }
    };
    let (own, other) = (key(), key());
    let uploads = operations::all().into_iter().filter(|kind| kind.target == Target::PendingUpload);
    let mut kinds = 0;
    for kind in uploads {
        for (by, found) in [(&editor, false), (&other, false), (&own, true)] {
            let target = kind.target.insert(&conn, org, by);
            let outcome = run_any(&conn, &*kind.build(own.caller(kind.access), target));
            let expected = if found { Ok(()) } else { Err(ApiError::AssetUploadNotFound) };
            assert_eq!((outcome.result, outcome.wrote), (expected, found && kind.writes), "{}", kind.name);
            // Who made the key may do all of it.
            let outcome = run_any(&conn, &*kind.build(editor.caller(kind.access), target));
            assert_eq!(outcome.wrote, !found && kind.writes, "{}", kind.name);
        }
        kinds += 1;
    }
    assert_eq!(kinds, 3);
}

/// An operation that is not in the table of tests/sqlite/operations.rs is not tested here.
#[test]
fn every_operation_of_the_store_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
    let mut in_source = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some((_, name)) = line.split_once("CallerOperation for ") {
                let name = name.split(['<', ' ']).next().unwrap();
                in_source.insert(format!("asset_uploads::store::{module}::{name}"));
            }
        }
    }
    let in_table: BTreeSet<String> =
        operations::all().iter().map(|kind| kind.name.split('<').next().unwrap().to_owned()).collect();
    assert_eq!(in_source, in_table);
    assert!(in_source.len() >= 6, "{in_source:?}");
}

/// Each statement is tested alone. For the caller it has an effect, and for an unknown caller none, whichever caller the
/// other statements of the transaction have.
#[test]
fn every_statement_asks_for_the_rights_of_its_first_parameter() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let admin = sqlite::admin(&conn, org);
    let unknown = Person { key: sqlite::unused_key(), ..admin.clone() };
    for kind in operations::all() {
        let target = kind.target.insert(&conn, org, &admin);
        let of = |person: &Person| person.key.as_str().to_owned();
        let caller = admin.caller(kind.access);
        let effect = |statement: &Statement| {
            let before = conn.total_changes();
            let texts = sqlite::transact(&conn, std::slice::from_ref(statement)).unwrap();
            (conn.total_changes() - before, texts.iter().flatten().count())
        };
        for statement in kind.build(caller.clone(), target).any_statements() {
            let Some(Param::Text(request)) = statement.params.first() else { panic!("{}", kind.name) };
            assert!(request.contains(&of(&admin)), "{}", kind.name);
            let mut of_other = statement.clone();
            of_other.params.splice(..1, [Param::Text(request.replace(&of(&admin), &of(&unknown)))]);
            assert_eq!(effect(&of_other), (0, 0), "{}: {}", kind.name, statement.sql);
            assert_ne!(effect(&statement), (0, 0), "{}: {}", kind.name, statement.sql);
        }
    }
}

/// The Worker repeats a transaction whose answer was lost. If the caller lost the rights meanwhile, the repeat fails.
#[test]
fn a_repeat_is_checked_anew() {
    for kind in operations::all() {
        let conn = sqlite::open();
        let org = sqlite::organization(&conn);
        let admin = sqlite::admin(&conn, org);
        let target = kind.target.insert(&conn, org, &admin);
        let operation = kind.build(admin.caller(kind.access), target);
        for expected_write in [kind.writes, false] {
            let outcome = run_any(&conn, &*operation);
            assert_eq!((outcome.result, outcome.wrote), (Ok(()), expected_write), "{}", kind.name);
        }
        let of_role = kind.access.permission != Permission::AnyKey;
        for (sql, denied) in [
            (
                "UPDATE memberships SET role = 'viewer'",
                [Permission::AssetsWrite, Permission::WebhooksManage]
                    .contains(&kind.access.permission)
                    .then_some(AuthError::PermissionDenied),
            ),
            ("UPDATE memberships SET role = NULL", of_role.then_some(AuthError::RoleUnresolved)),
            ("DELETE FROM memberships", of_role.then_some(AuthError::OrganizationMembershipRequired)),
            ("UPDATE api_keys SET revoked_at = 1", Some(AuthError::Unauthorized)),
        ] {
            conn.execute(sql, []).unwrap();
            let expected = denied.map_or(Ok(()), |error| Err(ApiError::Auth(error)));
            let outcome = run_any(&conn, &*operation);
            assert_eq!((outcome.result, outcome.wrote), (expected, false), "{}: {sql}", kind.name);
        }
    }
}

/// Rule 3: a revocation counts at once, also if its time is in the future.
#[test]
fn rule_3_a_key_that_is_to_be_revoked_later_is_revoked() {
    let conn = sqlite::open();
    let org = sqlite::organization(&conn);
    let editor = sqlite::editor(&conn, org);
    let check = || run(&conn, &CheckRights { caller: editor.caller(Permission::AssetsRead) });
    assert_eq!(check(), Ok(()));
    for (table, column) in [("api_keys", "revoked_at"), ("users", "disabled_at")] {
        conn.execute(&format!("UPDATE {table} SET {column} = ?1"), [NOW.0 + 1]).unwrap();
        assert_eq!(check(), Err(ApiError::Auth(AuthError::Unauthorized)), "{column}");
        conn.execute(&format!("UPDATE {table} SET {column} = NULL"), []).unwrap();
    }
}
