//! Questions to a running Daybook over its public API: `daybook audit`, `daybook dead-letters`.

use crate::{
    ApiArguments, Failure,
    cli::{AuditArguments, DeadLettersCommand, DropArguments, LetterArguments, LettersArguments},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::ExitCode, time::Duration};

/// A client of one Daybook.
struct Api {
    http: reqwest::Client,
    url: String,
}

impl Api {
    fn new(at: &ApiArguments) -> Result<Self, Failure> {
        // rustls needs one crypto provider chosen in a process. Where one is chosen already, this call fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().default_headers(at.headers()).timeout(Duration::from_secs(60)).build().map_err(Failure::failed)?;
        Ok(Self { http, url: at.url() })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.answer(self.http.get(format!("{}{path}", self.url)).query(query)).await
    }

    async fn post(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.answer(self.http.post(format!("{}{path}", self.url)).query(query)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| Failure::failed(format!("{} does not answer: {}", codec::shown_url(&self.url), error.without_url())))?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| Failure::failed(error.without_url()))?;
        if status.is_success() {
            return Ok(body);
        }
        let said = body["detail"].as_str().map_or_else(|| format!("it answered {status}"), str::to_owned);
        Err(if status.is_client_error() { Failure::usage(said) } else { Failure::failed(said) })
    }

    /// All items of a list, page by page.
    async fn all(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("limit", "200")];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let mut page = self.get(path, &query).await?;
            if let Some(more) = page["items"].as_array_mut() {
                items.append(more);
            }
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }
}

/// Shows an aggregate's events up to a moment, and its state then.
pub(crate) async fn audit(arguments: AuditArguments) -> Result<ExitCode, Failure> {
    let AuditArguments { aggregate, id, at, api, json } = arguments;
    let api = Api::new(&api)?;
    let path = format!("/audit/{aggregate}/{id}");
    let query: Vec<(&str, &str)> = at.iter().map(|at| ("at", at.as_str())).collect();
    let state = api.get(&format!("{path}/state"), &query).await?;
    let place = state["as_of"]["position"].as_str().unwrap_or_default().to_owned();
    let mut events = api.all(&path).await?;
    let last = events.iter().position(|event| event["position"] == place.as_str()).map_or(events.len(), |last| last + 1);
    events.truncate(last);
    if json {
        println!("{}", json!({"position": place, "state": state, "events": events}));
        return Ok(ExitCode::SUCCESS);
    }
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    for event in &events {
        let name = text(event, "type").rsplit('.').next().unwrap_or_default().to_owned();
        println!(
            "{}  {:<20} {name:<22} v{} by {}  {}",
            text(event, "time"),
            text(event, "position"),
            event["version"],
            text(event, "actor"),
            event["event"]
        );
    }
    println!("{aggregate} {id} at {place}:\n{state:#}");
    Ok(ExitCode::SUCCESS)
}

/// Lists, shows, redrives and drops dead letters.
pub(crate) async fn dead_letters(command: DeadLettersCommand) -> Result<ExitCode, Failure> {
    match command {
        DeadLettersCommand::List(arguments) => list(arguments).await,
        DeadLettersCommand::Show(arguments) => show(arguments).await,
        DeadLettersCommand::Redrive(arguments) => change(arguments, "redrive").await,
        DeadLettersCommand::Drop(arguments) => give_up(arguments).await,
    }
}

async fn list(arguments: LettersArguments) -> Result<ExitCode, Failure> {
    let letters = Api::new(&arguments.api)?.all("/dead-letters").await?;
    if arguments.json {
        println!("{}", json!({"letters": letters}));
        return Ok(ExitCode::SUCCESS);
    }
    let mut parked: BTreeMap<(String, String, String), Vec<&Value>> = BTreeMap::new();
    for boxed in &letters {
        let (text, letter) = (|value: &Value| value.as_str().unwrap_or_default().to_owned(), &boxed["letter"]);
        parked.entry((text(&boxed["database"]), text(&letter["reader"]), text(&letter["aggregate_id"]))).or_default().push(letter);
    }
    for ((database, reader, aggregate), letters) in &parked {
        let first = letters[0];
        let text = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
        println!("{database} {reader} {aggregate}  {} since {}: {}", letters.len(), text("parked_at"), text("reason"));
        println!("    the first: {}", text("id"));
    }
    if parked.is_empty() {
        println!("no dead letters");
    }
    Ok(ExitCode::SUCCESS)
}

fn path(arguments: &LetterArguments) -> String {
    format!("/dead-letters/{}/{}/{}", arguments.database, arguments.reader, arguments.aggregate)
}

async fn show(arguments: LetterArguments) -> Result<ExitCode, Failure> {
    let letters = Value::from(Api::new(&arguments.at.api)?.all(&path(&arguments)).await?);
    println!("{}", if arguments.at.json { letters.to_string() } else { format!("{letters:#}") });
    Ok(ExitCode::SUCCESS)
}

async fn change(arguments: LetterArguments, what: &str) -> Result<ExitCode, Failure> {
    let answer = Api::new(&arguments.at.api)?.post(&format!("{}/{what}", path(&arguments)), &[]).await?;
    println!("{}", if arguments.at.json { answer.to_string() } else { format!("{answer:#}") });
    Ok(ExitCode::SUCCESS)
}

/// The first letter of an aggregate: the one that holds up those behind it.
async fn first_letter(api: &Api, of: &LetterArguments) -> Result<String, Failure> {
    let letters = api.all(&path(of)).await?;
    let first = letters.first().and_then(|letter| letter["id"].as_str());
    let none = || Failure::usage(format!("{} has put no record and no reaction of {} aside in {}", of.reader, of.aggregate, of.database));
    first.map(str::to_owned).ok_or_else(none)
}

/// Drops the one letter that is named: a repeat finds that letter gone and drops no other. Where none is named, the first.
async fn give_up(arguments: DropArguments) -> Result<ExitCode, Failure> {
    let DropArguments { of, letter } = arguments;
    let api = Api::new(&of.at.api)?;
    let letter = match letter {
        Some(letter) => letter,
        None => first_letter(&api, &of).await?,
    };
    let answer = api.post(&format!("{}/drop", path(&of)), &[("letter", &letter)]).await?;
    println!("{}", if of.at.json { answer.to_string() } else { format!("{answer:#}") });
    Ok(ExitCode::SUCCESS)
}
