//! The users and products of a file.

use super::{
    api::{ACTOR, Api, ApiError, Made},
    execute::{ImportError, Limits, bar},
};
use domain::{ProductId, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use invoices::{Plan, PlannedProduct, keyed};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The refusals that say that a user was made before: the memory of keys says so or, once that has forgotten, the user's state.
const REGISTERED: [&str; 3] = ["idempotency-key-reused", "already-registered", "user-closed"];
/// The same of a product.
const LISTED: [&str; 3] = ["idempotency-key-reused", "already-listed", "withdrawn-product"];

/// A user or a product in the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id; none where the shop refused to make it.
    pub id: Option<String>,
    /// Why nothing new can be ordered by it or of it.
    pub barred: Option<String>,
}

impl Entry {
    fn open(id: String) -> Self {
        Self { id: Some(id), barred: None }
    }

    fn refused(why: String) -> Self {
        Self { id: None, barred: Some(why) }
    }
}

/// Users or products, by the file's customer numbers or stock codes.
pub type Entries = HashMap<String, Entry>;

/// The id of a customer, whichever file registered it.
pub fn user_id(number: &str) -> String {
    UserId::derive(ACTOR, &user_key(number)).to_string()
}

/// The id under which an import lists a product.
pub fn product_id(code: &str) -> String {
    ProductId::derive(ACTOR, &product_key(code)).to_string()
}

fn user_key(number: &str) -> String {
    format!("import/user/{number}")
}

fn product_key(code: &str) -> String {
    format!("import/product/{}", keyed(code))
}

/// Registers the customers that are not registered yet.
pub async fn users(plan: &Plan, api: &Api, limits: Limits) -> Result<Entries, ImportError> {
    let bar = bar("users", plan.customers.len());
    let register = |(number, country): (&String, &String)| {
        let (number, country, bar) = (number.clone(), country.clone(), bar.clone());
        async move {
            let entry = user(api, &number, &country).await?;
            bar.inc(1);
            Ok::<_, ImportError>((number, entry))
        }
    };
    stream::iter(plan.customers.iter().map(register)).buffer_unordered(limits.concurrency).try_collect().await
}

async fn user(api: &Api, number: &str, country: &str) -> Result<Entry, ImportError> {
    let email = format!("customer-{}@example.com", number.to_lowercase());
    let mut body = json!({"email": email, "name": format!("Customer {number}")});
    if country.parse::<domain::Text>().is_ok() {
        body["address"] = json!(country);
    }
    match api.post("/users", &user_key(number), body).await {
        Ok(Made { id, replayed: false }) => Ok(Entry::open(id)),
        // Another file, or this one before, registered it. Its name and address may have changed since, and stay as they are.
        Err(error) if !error.is_one_of(&REGISTERED) => match error.rule() {
            Some(rule) => Ok(Entry::refused(format!("its customer was refused: {rule}"))),
            None => Err(error.into()),
        },
        Ok(_) | Err(_) => {
            let id = user_id(number);
            let user = known(api, &format!("/users/{id}")).await?;
            let barred = (user["status"] == "closed").then(|| "its customer's account is closed".to_owned());
            Ok(Entry { id: Some(id), barred })
        }
    }
}

/// Lists the products that are not listed yet.
pub async fn products(plan: &Plan, api: &Api, limits: Limits) -> Result<Entries, ImportError> {
    let bar = bar("products", plan.products.len());
    let list = |(code, product): (&String, &PlannedProduct)| {
        let (code, product, bar) = (code.clone(), product.clone(), bar.clone());
        async move {
            let entry = product_entry(api, &code, &product).await?;
            bar.inc(1);
            Ok::<_, ImportError>((code, entry))
        }
    };
    stream::iter(plan.products.iter().map(list)).buffer_unordered(limits.concurrency).try_collect().await
}

async fn product_entry(api: &Api, code: &str, product: &PlannedProduct) -> Result<Entry, ImportError> {
    let body = json!({"sku": code, "name": product.name, "price": {"amount": product.pence, "currency": "GBP"}});
    match api.post("/products", &product_key(code), body).await {
        Ok(Made { id, replayed: false }) => Ok(Entry::open(id)),
        // Another file, or this one before, listed it. Its name and price may have changed since, and stay as they are.
        Err(error) if !error.is_one_of(&LISTED) => match error.rule() {
            Some(rule) => listed_by_others(api, code, rule).await,
            None => Err(error.into()),
        },
        Ok(_) | Err(_) => {
            let id = product_id(code);
            let found = known(api, &format!("/products/{id}")).await?;
            Ok(Entry { id: Some(id), barred: withdrawn(&found) })
        }
    }
}

/// A product that the shop refuses to list may be there already: somebody listed its stock code by hand.
async fn listed_by_others(api: &Api, code: &str, rule: &str) -> Result<Entry, ImportError> {
    let found = api.list("/products", &[("sku", code)]).await?;
    let on_sale = found.iter().find(|product| withdrawn(product).is_none()).or(found.first());
    let entry =
        on_sale.and_then(|product| Some(Entry { id: Some(product["product_id"].as_str()?.to_owned()), barred: withdrawn(product) }));
    Ok(entry.unwrap_or_else(|| Entry::refused(format!("its product was refused: {rule}"))))
}

fn withdrawn(product: &Value) -> Option<String> {
    (product["withdrawn"] == true).then(|| "its product is withdrawn".to_owned())
}

/// What was made before under an id that follows from the key.
async fn known(api: &Api, path: &str) -> Result<Value, ApiError> {
    let missing = || ApiError::Unusable { url: path.to_owned(), why: "it was made before, and is not found".into() };
    api.get_strong(path).await?.ok_or_else(missing)
}
