//! `access.toml` of the running naru: what is in force, read again when the file changes.
//!
//! Owns: [`AccessDesk`]: the text in force, why the file as it stands now is not, and who is known beside it. A file with
//! mistakes, or one that is gone, keeps the last good rights. Never decides; that is `naru_access::Rights`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use naru_access::{
    AccessFile, Offboarded, People, PersonInfo, Policy, Principal, Rights, Services, Standing, Terms, Tokens,
    audit::{Audit, Deed, Door, Entry, Origin},
    compare::compare,
};
use naru_base::Problem;
use naru_project::{ACCESS_FILE, Environment};
use naru_server::api::access::{AccessPort, Known};
use naru_store::{Store, StoreError, kv};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::home::Home;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The text that was in force last, for comparing with while nothing runs.
const APPLIED: &str = "access.applied";
/// Changes of one file that are told one by one.
const TOLD_MAX: usize = 50;

/// See the module.
pub struct AccessDesk {
    root: PathBuf,
    /// None where nothing has ever run.
    store: Option<Store>,
    policy: Policy,
    sign_in: bool,
    admins: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The text in force.
    text: Option<String>,
    /// The text of the file when it was last looked at.
    seen: Option<String>,
    wrong: Vec<Problem>,
}

impl AccessDesk {
    /// The rights of a folder that was just read, put in force.
    pub fn new(home: &Home, store: Option<Store>) -> Self {
        let (settings, text) = (&home.project.settings, read(&home.project.root));
        let admins = settings.sign_in.as_ref().map(|sign_in| sign_in.admins.clone()).unwrap_or_default();
        let desk = Self {
            root: home.project.root.clone(),
            store,
            policy: Policy::default(),
            sign_in: settings.sign_in.is_some(),
            admins,
            state: Mutex::new(State { text: text.clone(), seen: text, wrong: Vec::new() }),
        };
        desk.policy.replace(desk.compiled(home.project.access.clone()));
        desk
    }

    /// The same with the rights that were in force when naru last ran, for asking what the file would change.
    pub fn as_last_run(home: &Home, store: Option<Store>) -> Result<Self, Problem> {
        let applied = match &store {
            Some(store) => store.read_blocking(|tx| kv::get(tx, APPLIED)).map_err(|error| error.problem())?,
            None => None,
        };
        let desk = Self::new(home, store);
        let file = applied.as_ref().and_then(|text| AccessFile::parse(text, &Environment::of_process()).ok());
        desk.policy.replace(desk.compiled(file));
        desk.state.lock().text = applied;
        Ok(desk)
    }

    /// The rights in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    fn compiled(&self, file: Option<AccessFile>) -> Rights {
        Rights::new(Terms { file, sign_in: self.sign_in, admins: self.admins.clone() })
    }

    /// Remembers what is in force.
    pub async fn remember(&self) {
        let (Some(store), Some(text)) = (self.store.clone(), self.state.lock().text.clone()) else { return };
        let kept: Result<(), StoreError> = store.write(move |tx| kv::set(tx, APPLIED, &text)).await;
        if let Err(error) = kept {
            tracing::warn!(problem = %error.problem(), "the rights in force could not be remembered");
        }
    }

    /// Looks at the file until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, audit: Audit, stop: CancellationToken) {
        self.remember().await;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            self.look(&audit).await;
        }
    }

    /// Reads the file again if it has changed.
    async fn look(&self, audit: &Audit) {
        let text = read(&self.root);
        {
            let mut state = self.state.lock();
            if state.seen == text {
                return;
            }
            state.seen.clone_from(&text);
        }
        let read = match &text {
            Some(_) => AccessFile::load(&self.root, &Environment::of_process()).map(|file| file.zip(text)),
            None => Err(vec![gone()]),
        };
        match read {
            Ok(Some((file, text))) => self.put_in_force(file, text, audit).await,
            // Between two looks of ours at one file it went and came.
            Ok(None) => self.state.lock().seen = None,
            Err(wrong) => {
                for problem in &wrong {
                    tracing::warn!(%problem, "access.toml is not read again; the last good rights stay in force");
                }
                self.state.lock().wrong = wrong;
            }
        }
    }

    async fn put_in_force(&self, file: AccessFile, text: String, audit: &Audit) {
        let after = self.compiled(Some(file));
        let known = self.known().await.unwrap_or_default();
        let known: Vec<Principal> = known.into_iter().map(|known| known.principal).collect();
        let changes = compare(&self.policy.now(), &after, &known, &[]);
        self.policy.replace(after);
        {
            let mut state = self.state.lock();
            state.text = Some(text);
            state.wrong.clear();
        }
        tracing::info!(changes = changes.len(), "access.toml was read again and is in force");
        let origin = Origin { door: Door::Cli, address: None, client: ACCESS_FILE.to_owned() };
        let role = |role: Option<naru_access::Role>| role.map_or_else(|| "nothing".to_owned(), |role| role.to_string());
        let told = changes.iter().take(TOLD_MAX).map(|change| {
            format!("{} {}: {} to {}", change.who, change.dataset, role(change.before), role(change.after))
        });
        let detail = format!("access.reread {}", told.collect::<Vec<_>>().join("; "));
        let entry = Entry::new(&Principal::Owner, origin, Deed::Access).detail(detail);
        // Whoever holds the folder is never held up.
        drop(audit.note(&Principal::Owner, entry).await);
        self.remember().await;
    }

    /// What `naru status` says of the file.
    pub fn wrong(&self) -> Vec<Problem> {
        self.state.lock().wrong.clone()
    }

    /// Everybody who ever had an address: another person may have it since.
    async fn people(&self, people: &People, address: &str) -> Result<Vec<PersonInfo>, Problem> {
        let mut all = people.list().await.map_err(|error| error.problem())?;
        let address = naru_project::nfc(address.trim()).to_lowercase();
        all.retain(|person| person.account.name == address);
        if all.is_empty() { Err(no_such_person(&address)) } else { Ok(all) }
    }

    fn store(&self) -> Result<Store, Problem> {
        self.store.clone().ok_or_else(|| {
            Problem::new("access.never_ran", "nothing has ever run in this project").hint("Start it with `naru up`.")
        })
    }
}

fn no_such_person(address: &str) -> Problem {
    Problem::new("access.no_such_person", format!("nobody with the address {address} has ever signed in"))
        .hint("`naru access show` lists everyone who has. Take the address out of access.toml all the same.")
}

fn gone() -> Problem {
    Problem::new("access.gone", format!("{ACCESS_FILE} is gone"))
        .detail("The rights that it gave stay in force until naru starts again.")
        .hint("Put it back; or, to run without it, start naru again.")
}

/// The file's text; none where there is none or it cannot be read, which reading it properly then says.
fn read(root: &Path) -> Option<String> {
    std::fs::read(root.join(ACCESS_FILE)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Replaces the file in one step, so that nobody reads half of it.
fn replace(root: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let (path, draft) = (root.join(ACCESS_FILE), root.join(format!(".{ACCESS_FILE}.new")));
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if let Ok(facts) = std::fs::metadata(&path) {
        file.set_permissions(facts.permissions())?;
    }
    std::fs::rename(draft, path)
}

#[async_trait]
impl AccessPort for AccessDesk {
    fn text(&self) -> Option<String> {
        self.state.lock().text.clone()
    }

    fn wrong(&self) -> Vec<Problem> {
        Self::wrong(self)
    }

    async fn known(&self) -> Result<Vec<Known>, Problem> {
        let Some(store) = self.store.clone() else { return Ok(Vec::new()) };
        let failed = |error: naru_access::AccessError| error.problem();
        let people = People::new(store.clone()).list().await.map_err(failed)?;
        let services = Services::new(store.clone()).list().await.map_err(failed)?;
        let tokens = Tokens::new(store).list().await.map_err(failed)?;
        let people = people
            .into_iter()
            .map(|person| Known { active: person.active, principal: Principal::Person(Arc::new(person.account)) });
        let services = services.into_iter().map(|service| {
            let account =
                naru_access::Account { id: service.id, shown: service.purpose, name: service.name, domain: None };
            Known { active: service.active, principal: Principal::Service(Arc::new(account)) }
        });
        let tokens = tokens.into_iter().map(|token| Known {
            active: token.standing == Standing::Live,
            principal: Principal::Token { id: token.id, name: token.name, owner: token.owner },
        });
        Ok(people.chain(services).chain(tokens).collect())
    }

    fn rights(&self, text: &str) -> Result<Rights, Vec<Problem>> {
        AccessFile::parse(text, &Environment::of_process()).map(|file| self.compiled(Some(file)))
    }

    async fn apply(&self, text: &str, base: &str) -> Result<(), Problem> {
        let file = AccessFile::parse(text, &Environment::of_process()).map_err(|mut wrong| {
            let first = if wrong.is_empty() { gone() } else { wrong.swap_remove(0) };
            first.hint("Nothing was changed.")
        })?;
        let (root, text, base) = (self.root.clone(), text.to_owned(), base.to_owned());
        let after = self.compiled(Some(file));
        {
            // The lock keeps a look at the file from coming between writing it and putting it in force.
            let mut state = self.state.lock();
            if read(&root).unwrap_or_default() != base {
                return Err(Problem::new("access.changed_meanwhile", format!("{ACCESS_FILE} was changed meanwhile"))
                    .hint("Look at it again, and make the change once more."));
            }
            replace(&root, &text).map_err(|error| {
                Problem::from_error("access.unwritable", format!("{ACCESS_FILE} could not be written"), &error)
            })?;
            self.policy.replace(after);
            *state = State { text: Some(text.clone()), seen: Some(text), wrong: Vec::new() };
        }
        self.remember().await;
        Ok(())
    }

    async fn offboard(&self, who: &str, heir: Option<&str>) -> Result<Offboarded, Problem> {
        let people = People::new(self.store()?);
        let leaving = self.people(&people, who).await?.into_iter().map(|person| person.account.id).collect();
        let heir = match heir {
            Some(heir) => {
                let all = self.people(&people, heir).await?;
                let active = all.iter().find(|person| person.active).ok_or_else(|| no_such_person(heir))?;
                Some(active.account.id)
            }
            None => None,
        };
        people.offboard_all(leaving, heir).await.map_err(|error| error.problem())
    }
}
