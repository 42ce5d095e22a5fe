//! A set's ratios as bars: from least to greatest, the median marked, the aim beside it.

use crate::figure::{Aim, Figure, Set};
use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};
use std::path::Path;

const WIDTH: u32 = 900;
const LEFT: i32 = 430;
const RIGHT: i32 = 60;
const ROW: i32 = 34;
const TOP: i32 = 46;
const INK: RGBColor = RGBColor(51, 51, 51);
const BAR: RGBColor = RGBColor(44, 111, 187);
const AIM: RGBColor = RGBColor(200, 80, 40);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes the picture.
pub fn draw(path: &Path, set: &Set) -> Result<()> {
    let height = TOP + ROW * set.figures.len() as i32 + 20;
    let area = SVGBackend::new(path, (WIDTH, height as u32)).into_drawing_area();
    paint(&area, set).map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))
}

fn aim_of(figure: &Figure) -> f64 {
    match figure.aim {
        Aim::AtLeast(aim) | Aim::AtMost(aim) => aim,
        Aim::None => 0.0,
    }
}

fn paint(area: &Area<'_>, set: &Set) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let title = format!("{}: ratios to the peer, least to greatest, median marked; the aim in orange", set.name);
    area.draw(&Text::new(title, (12, 12), ("sans-serif", 15).into_font().color(&INK)))?;
    let greatest = set.figures.iter().map(|figure| figure.ratios().max.max(aim_of(figure))).fold(1.0, f64::max);
    let x = |ratio: f64| LEFT + (ratio / greatest * f64::from(WIDTH as i32 - LEFT - RIGHT)) as i32;
    for (index, figure) in (0..).zip(&set.figures) {
        bar(area, figure, TOP + ROW * index, &x)?;
    }
    Ok(area.present()?)
}

fn bar(area: &Area<'_>, figure: &Figure, y: i32, x: &impl Fn(f64) -> i32) -> Result<(), Box<dyn std::error::Error>> {
    let ratios = figure.ratios();
    let label = |text: String, x: i32, y: i32, size: i32| Text::new(text, (x, y), ("sans-serif", size).into_font().color(&INK));
    area.draw(&label(format!("{}, {}", figure.what, figure.measure.words()), 12, y, 13))?;
    area.draw(&label(figure.against.clone(), 12, y + 14, 11))?;
    area.draw(&Rectangle::new([(x(0.0), y + 4), (x(ratios.median), y + 18)], BAR.mix(0.45).filled()))?;
    area.draw(&PathElement::new(vec![(x(ratios.min), y + 11), (x(ratios.max), y + 11)], BAR.stroke_width(2)))?;
    area.draw(&PathElement::new(vec![(x(ratios.median), y + 2), (x(ratios.median), y + 20)], BAR.stroke_width(3)))?;
    if figure.aim != Aim::None {
        let at = x(aim_of(figure));
        area.draw(&PathElement::new(vec![(at, y), (at, y + 22)], AIM.stroke_width(2)))?;
    }
    area.draw(&label(format!("{:.2}", ratios.median), x(ratios.max.max(aim_of(figure))) + 6, y + 5, 12))?;
    Ok(())
}
