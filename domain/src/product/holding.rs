//! What a product holds: the reservation of its stock-keeping unit, and those that it will never use.

use super::{Catalogue, Product, ProductCommand, ProductEvent, ProductRefusal, ProductSkuForgone};
use crate::{
    ReservationId, Sku,
    reservation::{Holder, Kind, Reserved},
};

impl Product {
    /// Refuses a stock-keeping unit whose reservation is missing, of another unit, or forgone.
    pub(super) fn usable(&self, sku: &Sku, reserved: Option<Reserved>) -> Result<(), ProductRefusal> {
        let reserved = reserved.filter(|reserved| reserved.reservation_id == ReservationId::of_sku(sku));
        match reserved {
            None => Err(ProductRefusal::Unreserved),
            Some(reserved) if self.forgone.includes(reserved) => Err(ProductRefusal::Forgone),
            Some(_) => Ok(()),
        }
    }

    /// Refuses where the product is listed as the unit of this reservation, whether or not it was reserved for it.
    pub(super) fn parts_with(&self, reservation_id: ReservationId) -> Result<(), ProductRefusal> {
        match &self.catalogue {
            Catalogue::Listed(listing) if ReservationId::of_sku(&listing.sku) == reservation_id => Err(ProductRefusal::SkuTaken),
            Catalogue::Listed(_) | Catalogue::NotListed | Catalogue::Withdrawn(_) => Ok(()),
        }
    }

    /// A product that was listed once uses no further reservation in any case.
    pub(super) fn forgo(&self, reserved: Reserved) -> Result<Vec<ProductEvent>, ProductRefusal> {
        self.parts_with(reserved.reservation_id)?;
        let settled = self.catalogue != Catalogue::NotListed || self.forgone.includes(reserved);
        Ok(if settled { vec![] } else { vec![ProductEvent::SkuForgone(ProductSkuForgone { reserved })] })
    }
}

impl Holder for Product {
    const KIND: Kind = Kind::Sku;
    const TAKEN: &'static str = "sku-taken";

    fn uses(reservation_id: ReservationId) -> ProductCommand {
        ProductCommand::UsesSku { reservation_id }
    }

    fn forgo(reserved: Reserved) -> ProductCommand {
        ProductCommand::ForgoSku { reserved }
    }
}
