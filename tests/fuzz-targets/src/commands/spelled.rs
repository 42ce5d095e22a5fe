//! A command as the body of the request that makes it, by the API's description.

use super::shop::Sent;
use domain::{Money, order::OrderCommand, order::OrderLine, payment::PaymentCommand, product::ProductCommand, user::UserCommand};
use serde_json::{Value, json};

/// The documented body.
pub fn body(sent: &Sent) -> Value {
    let mut body = match sent {
        Sent::User(_, command) => user(command),
        Sent::Product(_, command) => product(command),
        Sent::Order(_, command) => order(command),
        Sent::Payment(_, PaymentCommand::Refund { amount, .. }) => json!({"amount": money(amount)}),
        Sent::Payment(_, other) => panic!("no route makes {other:?}"),
    };
    // A field that the command leaves out is left out again.
    if let Some(object) = body.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    body
}

fn user(command: &UserCommand) -> Value {
    match command {
        UserCommand::Register { email, name, address, reserved: _ } => json!({"email": email, "name": name, "address": address}),
        UserCommand::ChangeProfile { email, name, address, reserved: _ } => {
            json!({"email": email, "name": name, "address": address})
        }
        UserCommand::Close { reason } => json!({"reason": reason}),
        other => panic!("no route makes {other:?} by itself"),
    }
}

fn product(command: &ProductCommand) -> Value {
    match command {
        ProductCommand::List { sku, name, price, reserved: _ } => json!({"sku": sku, "name": name, "price": money(price)}),
        ProductCommand::ChangePrice { price } => json!({"price": money(price)}),
        ProductCommand::ReceiveStock { quantity } => json!({"quantity": quantity}),
        ProductCommand::Withdraw { reason } => json!({"reason": reason}),
        other => panic!("no route makes {other:?}"),
    }
}

fn order(command: &OrderCommand) -> Value {
    match command {
        OrderCommand::Place { user_id, lines, payment_method, .. } => {
            let lines: Vec<Value> = lines.iter().map(line).collect();
            json!({"user_id": user_id.to_string(), "lines": lines, "payment": {"method": payment_method}})
        }
        OrderCommand::Cancel { reason } => json!({"reason": reason}),
        other => panic!("no route makes {other:?}"),
    }
}

fn line(line: &OrderLine) -> Value {
    let price = line.agreed_price.as_ref().map(money);
    json!({"product_id": line.product_id.to_string(), "quantity": line.quantity, "agreed_price": price})
}

fn money(money: &Money) -> Value {
    json!({"amount": money.amount, "currency": money.currency})
}
