//! Resizing as published results did it: Pillow's `BICUBIC` (a = -0.5, antialiased when shrinking) and `NEAREST`.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use super::{LabelMap, Picture, Rect, Samples};

/// Resizes a picture; aspect is ignored. Within 1/255 of Pillow's bicubic.
///
/// # Panics
/// When a side is zero or beyond 2^32.
pub fn bicubic(picture: &Picture, width: usize, height: usize) -> Picture {
    bicubic_region(picture, (width, height), Rect { x: 0, y: 0, width, height })
}

/// A part of the picture resized to `whole` (width, height), without computing the rest.
///
/// # Panics
/// When the part is empty or does not lie inside.
pub fn bicubic_region(picture: &Picture, whole: (usize, usize), part: Rect) -> Picture {
    let inside = part.x + part.width <= whole.0 && part.y + part.height <= whole.1;
    assert!(inside && part.width > 0 && part.height > 0, "the part lies inside the resized picture");
    if whole == (picture.width(), picture.height()) {
        return picture.crop(part.x, part.y, part.width, part.height);
    }
    let gray = picture.channels() == 1;
    let samples = match picture.samples() {
        Samples::U8(values) => {
            let kind = if gray { PixelType::U8 } else { PixelType::U8x3 };
            Samples::U8(resize(values, kind, picture, whole, part).into_vec())
        }
        Samples::U16(values) => {
            let kind = if gray { PixelType::U16 } else { PixelType::U16x3 };
            let resized = resize(bytemuck::cast_slice(values), kind, picture, whole, part);
            Samples::U16(bytemuck::cast_slice(resized.buffer()).to_vec())
        }
    };
    Picture::new(part.width, part.height, picture.channels(), samples).expect("the resizer fills every pixel")
}

/// Two passes, first across and then down: Pillow rounds between them in this order.
fn resize(bytes: &[u8], kind: PixelType, picture: &Picture, whole: (usize, usize), part: Rect) -> Image<'static> {
    let side = |side: usize| u32::try_from(side).expect("sides of pictures fit 32 bits");
    let source = ImageRef::new(side(picture.width()), side(picture.height()), bytes, kind)
        .expect("a picture holds as many values as its sides say");
    let (across, down) = (picture.width() as f64 / whole.0 as f64, picture.height() as f64 / whole.1 as f64);
    // Of the rows only those are needed that the second pass will look at.
    let reach = (2.0 * down.max(1.0)).ceil() as usize + 1;
    let top = ((part.y as f64 * down) as usize).saturating_sub(reach);
    let bottom = (((part.y + part.height) as f64 * down).ceil() as usize + reach).min(picture.height());
    let pass = |from: &dyn Fn(&mut Resizer, &mut Image<'static>), width: usize, height: usize| {
        let mut result = Image::new(side(width), side(height), kind);
        from(&mut Resizer::new(), &mut result);
        result
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).use_alpha(false);
    let (left, taken) = (part.x as f64 * across, part.width as f64 * across);
    let options_across =
        options.crop(left, top as f64, taken.min(picture.width() as f64 - left), (bottom - top) as f64);
    let valid = "kinds are equal and the part lies inside";
    let narrow = pass(
        &|resizer, result| resizer.resize(&source, result, &options_across).expect(valid),
        part.width,
        bottom - top,
    );
    let (above, taken) = (part.y as f64 * down - top as f64, part.height as f64 * down);
    let options_down = options.crop(0.0, above, part.width as f64, taken.min((bottom - top) as f64 - above));
    pass(&|resizer, result| resizer.resize(&narrow, result, &options_down).expect(valid), part.width, part.height)
}

/// Resizes ids without mixing them: each pixel takes the id under its centre.
///
/// # Panics
/// When a side is zero.
pub fn nearest_labels(labels: &LabelMap, width: usize, height: usize) -> LabelMap {
    nearest_labels_region(labels, (width, height), Rect { x: 0, y: 0, width, height })
}

/// A part of the map resized to `whole` (width, height), without computing the rest.
///
/// # Panics
/// When the part is empty or does not lie inside.
pub fn nearest_labels_region(labels: &LabelMap, whole: (usize, usize), part: Rect) -> LabelMap {
    let inside = part.x + part.width <= whole.0 && part.y + part.height <= whole.1;
    assert!(inside && part.width > 0 && part.height > 0, "the part lies inside the resized map");
    // The centre of pixel i of n lies at (2 i + 1) / (2 n) of the side.
    let under = |at: usize, from: usize, to: usize| (2 * at + 1) * from / (2 * to);
    labels.gather(part.width, part.height, |x, y| {
        (under(part.x + x, labels.width(), whole.0), under(part.y + y, labels.height(), whole.1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(width: usize, height: usize) -> Picture {
        let at = |i: usize| {
            let (x, y) = (i % width, i / width);
            ((x * 37 + y * 91 + (x * y) % 17 * 5) % 256) as u8
        };
        Picture::from_u8(width, height, 1, (0..width * height).map(at).collect()).expect("a picture")
    }

    fn values(picture: &Picture) -> Vec<u8> {
        match picture.samples() {
            Samples::U8(values) => values.clone(),
            Samples::U16(_) => panic!("8 bits expected"),
        }
    }

    /// Pillow 13: `Image.fromarray(a).resize((width, height), Image.BICUBIC)` on the picture of `formula`.
    #[test]
    fn bicubic_stays_within_one_of_pillow() {
        let cases: [(usize, usize, usize, usize, &[u8]); 3] = [
            (8, 8, 5, 5, &PILLOW_8X8_TO_5X5),
            (8, 8, 13, 11, &PILLOW_8X8_TO_13X11),
            (9, 7, 4, 11, &PILLOW_9X7_TO_4X11),
        ];
        for (width, height, to_width, to_height, expected) in cases {
            let found = values(&bicubic(&formula(width, height), to_width, to_height));
            let far = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(1), "{width}x{height} to {to_width}x{to_height}: {far:?}");
        }
    }

    #[test]
    fn a_part_equals_the_same_part_of_the_whole() {
        for (whole, part) in [
            ((30, 20), Rect { x: 3, y: 5, width: 17, height: 11 }),
            ((143, 143), Rect { x: 0, y: 15, width: 128, height: 128 }),
            ((143, 143), Rect { x: 15, y: 0, width: 128, height: 128 }),
        ] {
            let picture = formula(67, 41).to_channels(3);
            let all = bicubic(&picture, whole.0, whole.1).crop(part.x, part.y, part.width, part.height);
            let found = bicubic_region(&picture, whole, part);
            let far = values(&found).iter().zip(values(&all)).map(|(a, b)| a.abs_diff(b)).max();
            assert!(far <= Some(1), "{whole:?} {part:?}: {far:?}");
        }
    }

    #[test]
    fn sixteen_bits_are_resized_in_sixteen_bits() {
        let ramp = (0..64).map(|i| (i % 8 * 9000 + i / 8) as u16).collect();
        let picture = Picture::new(8, 8, 1, Samples::U16(ramp)).expect("a picture");
        let resized = bicubic(&picture, 4, 4);
        assert_eq!(resized.bits(), 16);
        let Samples::U16(values) = resized.samples() else { panic!("16 bits expected") };
        assert!(values.iter().any(|value| value % 257 != 0));
    }

    /// Pillow 13: `NEAREST` on `numpy.arange(49).reshape(7, 7)`.
    #[test]
    fn labels_are_taken_where_pillow_takes_them() {
        let labels = LabelMap::new(7, 7, (0..49).collect()).expect("49 ids");
        let small = nearest_labels(&labels, 3, 5);
        assert_eq!(small.ids(), [1, 3, 5, 15, 17, 19, 22, 24, 26, 29, 31, 33, 43, 45, 47]);
        let large = nearest_labels(&labels, 11, 9);
        assert_eq!(large.ids()[..11], [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6]);
        assert_eq!(large.ids()[88..], [42, 42, 43, 44, 44, 45, 46, 46, 47, 48, 48]);
        let part = nearest_labels_region(&labels, (11, 9), Rect { x: 2, y: 8, width: 4, height: 1 });
        assert_eq!(part.ids(), [43, 44, 44, 45]);
    }

    const PILLOW_8X8_TO_5X5: [u8; 25] = [
        48, 116, 121, 132, 97, 156, 112, 111, 123, 192, 87, 142, 120, 101, 143, 106, 102, 126, 126, 161, 118, 93, 94,
        66, 121,
    ];
    const PILLOW_8X8_TO_13X11: [u8; 143] = [
        0, 7, 33, 55, 78, 100, 131, 161, 183, 216, 233, 86, 0, 45, 59, 89, 124, 160, 186, 120, 55, 80, 114, 135, 95,
        69, 126, 147, 173, 145, 147, 183, 99, 19, 53, 85, 107, 156, 184, 177, 208, 223, 82, 13, 59, 94, 124, 148, 177,
        210, 240, 251, 38, 61, 94, 90, 107, 153, 204, 206, 71, 103, 248, 149, 59, 41, 70, 120, 175, 171, 103, 131, 149,
        42, 60, 170, 126, 81, 133, 134, 142, 194, 165, 43, 41, 74, 74, 90, 124, 165, 189, 214, 125, 5, 38, 87, 123,
        114, 106, 148, 194, 230, 221, 207, 77, 67, 64, 118, 154, 157, 187, 190, 98, 57, 66, 91, 108, 54, 95, 148, 127,
        103, 89, 133, 158, 62, 23, 44, 93, 126, 125, 167, 199, 70, 0, 0, 27, 67, 58, 82, 135, 186, 215,
    ];
    const PILLOW_9X7_TO_4X11: [u8; 44] = [
        18, 103, 195, 48, 65, 130, 121, 89, 134, 148, 49, 147, 176, 80, 146, 170, 133, 95, 176, 142, 52, 165, 139, 95,
        123, 128, 84, 153, 150, 93, 95, 179, 95, 88, 181, 142, 82, 140, 120, 105, 83, 182, 57, 83,
    ];
}
