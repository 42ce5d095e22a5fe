use super::*;
use crate::testing::given;

fn text(words: &str) -> Text {
    words.parse().unwrap()
}

fn email(address: &str) -> Email {
    address.parse().unwrap()
}

/// The reservation of Ada's address under a number.
fn reserved(number: i64) -> Reserved {
    reserved_of("ada@example.com", number)
}

fn reserved_of(address: &str, number: i64) -> Reserved {
    Reserved { reservation_id: ReservationId::of_email(&email(address)), number }
}

fn register_with(reserved: Option<Reserved>) -> UserCommand {
    UserCommand::Register { email: email("ada@example.com"), name: text("Ada"), address: Some(text("1 Row")), reserved }
}

fn registered_with(reserved: Option<Reserved>) -> UserEvent {
    UserEvent::Registered(UserRegistered { email: email("ada@example.com"), name: text("Ada"), address: Some(text("1 Row")), reserved })
}

fn register() -> UserCommand {
    register_with(Some(reserved(1)))
}

fn registered() -> UserEvent {
    registered_with(Some(reserved(1)))
}

fn rename(name: &str) -> UserCommand {
    UserCommand::ChangeProfile { email: None, name: Some(text(name)), address: None, reserved: None }
}

fn closed() -> UserEvent {
    UserEvent::Closed(UserClosed { reason: Some(text("moved")), left: Some(reserved(1)) })
}

fn close() -> UserCommand {
    UserCommand::Close { reason: Some(text("moved")) }
}

#[test]
fn a_new_user_registers() {
    let given = given::<User>([]).when(register()).then([registered()]);
    assert_eq!(given.state().profile().unwrap().name, text("Ada"));
}

#[test]
fn an_identity_registers_once() {
    given::<User>([registered()]).when(register()).refused("already-registered");
    given::<User>([registered(), closed()]).when(register()).refused("user-closed");
}

#[test]
fn only_what_differs_is_changed() {
    let (new, reserved) = (email("ada@example.org"), Some(reserved_of("ada@example.org", 3)));
    let (name, address) = (Some(text("Ada")), Some(text("2 Row")));
    let command = UserCommand::ChangeProfile { email: Some(new.clone()), name, address: address.clone(), reserved };
    let changed = UserProfileChanged { email: Some(new.clone()), name: None, address, reserved, left: Some(self::reserved(1)) };
    let given = given::<User>([registered()]).when(command).then([UserEvent::ProfileChanged(changed)]);
    let profile = given.state().profile().unwrap();
    assert_eq!((&profile.email, &profile.name, &profile.address), (&new, &text("Ada"), &Some(text("2 Row"))));
    assert_eq!(profile.reserved, reserved);
}

#[test]
fn a_change_of_one_field_leaves_the_others() {
    let changed = UserProfileChanged { email: None, name: Some(text("Ada L")), address: None, reserved: None, left: None };
    let given = given::<User>([registered()]).when(rename("Ada L")).then([UserEvent::ProfileChanged(changed)]);
    let profile = given.state().profile().unwrap();
    assert_eq!((&profile.email, &profile.name, &profile.address), (&email("ada@example.com"), &text("Ada L"), &Some(text("1 Row"))));
}

#[test]
fn changing_nothing_makes_no_event() {
    given::<User>([registered()]).when(rename("Ada")).then_nothing();
    let empty = UserCommand::ChangeProfile { email: None, name: None, address: None, reserved: None };
    given::<User>([registered()]).when(empty).then_nothing();
}

#[test]
fn only_an_open_account_changes() {
    given::<User>([]).when(rename("Bob")).not_found("unknown-user");
    given::<User>([registered(), closed()]).when(rename("Bob")).refused("user-closed");
}

#[test]
fn an_account_closes_once() {
    given::<User>([]).when(close()).not_found("unknown-user");
    let given = given::<User>([registered()]).when(close()).then([closed()]).when(close()).then_nothing();
    assert!(given.state().is_closed());
}

fn move_to(address: &str, reserved: Option<Reserved>) -> UserCommand {
    UserCommand::ChangeProfile { email: Some(email(address)), name: None, address: None, reserved }
}

fn moved(address: &str, reserved: Option<Reserved>, left: Option<Reserved>) -> UserEvent {
    UserEvent::ProfileChanged(UserProfileChanged { email: Some(email(address)), name: None, address: None, reserved, left })
}

fn forgo(reserved: Reserved) -> UserCommand {
    UserCommand::ForgoEmail { reserved }
}

fn forgone(reserved: Reserved) -> UserEvent {
    UserEvent::EmailForgone(UserEmailForgone { reserved })
}

fn uses(address: &str) -> UserCommand {
    UserCommand::UsesEmail { reservation_id: ReservationId::of_email(&email(address)) }
}

#[test]
fn an_address_needs_its_own_reservation() {
    given::<User>([]).when(register_with(None)).refused("not-reserved").on("email");
    given::<User>([]).when(register_with(Some(reserved_of("eve@example.com", 1)))).refused("not-reserved");
    given::<User>([registered()]).when(move_to("ada@example.org", None)).refused("not-reserved").on("email");
    given::<User>([registered()]).when(move_to("ada@example.org", Some(reserved(1)))).refused("not-reserved");
}

#[test]
fn what_was_forgone_before_the_registration_is_never_used() {
    let given = given::<User>([]).when(forgo(reserved(3))).then([forgone(reserved(3))]).when(forgo(reserved(1))).then_nothing();
    let late = given.clone().when(register_with(Some(reserved(3))));
    late.refused("reservation-forgone");
    given.clone().when(register()).refused("reservation-forgone");
    given.when(register_with(Some(reserved(5)))).then([registered_with(Some(reserved(5)))]);
}

#[test]
fn what_is_in_use_is_not_parted_with() {
    given::<User>([]).when(uses("ada@example.com")).then_nothing();
    let given = given::<User>([registered()]);
    given.clone().when(uses("ADA@example.com")).refused("email-taken").on("email");
    given.clone().when(uses("ada@example.org")).then_nothing();
    given.clone().when(forgo(reserved(1))).refused("email-taken");
    let words = "is the address of an account already: each address has one account";
    given.when(forgo(reserved(7))).refused("email-taken").saying(words);
}

#[test]
fn an_account_of_an_earlier_version_has_its_address_without_a_reservation() {
    let old = given::<User>([registered_with(None)]);
    old.clone().when(forgo(reserved(1))).refused("email-taken");
    let (new, left) = (Some(reserved_of("ada@example.org", 1)), None);
    let gone = old.when(move_to("ada@example.org", new)).then([moved("ada@example.org", new, left)]);
    gone.when(forgo(reserved(1))).then([forgone(reserved(1))]);
}

#[test]
fn an_address_that_was_left_is_not_taken_up_again_under_its_number() {
    let (there, back) = (Some(reserved_of("ada@example.org", 1)), Some(reserved(3)));
    let given = given::<User>([registered()]).when(move_to("ada@example.org", there));
    let gone = given.then([moved("ada@example.org", there, Some(reserved(1)))]);
    gone.clone().when(uses("ada@example.com")).then_nothing();
    gone.clone().when(forgo(reserved(1))).then_nothing();
    gone.clone().when(move_to("ada@example.com", Some(reserved(1)))).refused("reservation-forgone");
    gone.when(move_to("ada@example.com", back)).then([moved("ada@example.com", back, there)]);
}

#[test]
fn another_spelling_of_the_address_needs_no_other_reservation() {
    let given = given::<User>([registered()]).when(move_to("Ada@Example.com", None)).then([moved("Ada@Example.com", None, None)]);
    assert_eq!(given.state().profile().unwrap().reserved, Some(reserved(1)));
    given.when(forgo(reserved(1))).refused("email-taken");
}

#[test]
fn a_closed_account_needs_no_address() {
    let given = given::<User>([registered(), closed()]);
    given.clone().when(uses("ada@example.com")).then_nothing();
    given.when(forgo(reserved(1))).then_nothing().when(register()).refused("user-closed");
}
