//! WGSL source of matrix products.

use super::{Dot, TEAM, TEAM_ROWS};
use crate::engine::model::gpu::layout::{Layout, Scales};
use std::fmt::Write;

/// How a matrix product is divided among threads. It does not change the order of additions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Teams per workgroup that divide its weight rows, or beyond [`TEAM_ROWS`] its activation rows.
    pub teams: usize,
    /// Weight rows per team.
    pub rows: usize,
    /// Units of a row that a thread loads before it uses them.
    pub unroll: usize,
}

impl Tile {
    /// The tile for products with up to `rows` rows of activations: the fastest or nearly so for the shapes of 7B and
    /// 8B models on an H100.
    pub fn of(layout: Layout, rows: usize) -> Self {
        let (teams, weight_rows, unroll) = match (layout.is_dense(), rows) {
            (true, ..=2) => (4, 2, 4),
            (true, ..=8) => (4, 4, 2),
            (false, ..=2) => (4, 2, 2),
            (false, ..=8) => (4, 2, 1),
            (_, ..=TEAM_ROWS) => (2, 4, 1),
            _ => (rows / TEAM_ROWS, 4, 1),
        };
        Self {
            teams,
            rows: weight_rows,
            unroll,
        }
    }

    /// Weight rows per workgroup.
    pub fn group_rows(self, rows: usize) -> usize {
        match rows <= TEAM_ROWS {
            true => self.teams * self.rows,
            false => self.rows,
        }
    }
}

/// The product of weight rows and up to `rows` rows of activations.
///
/// The order of additions is the same for every `rows`: thread i of a team adds the units i, i + 32, i + 64, … of a
/// row, then groups of four threads add their sums, then the eight groups.
pub fn multiply(layout: Layout, rows: usize, add: bool, tile: Tile, dot: Dot) -> String {
    let m = rows.min(TEAM_ROWS);
    let teams = tile.teams;
    // Teams have different weight rows, or different rows of activations.
    let (first, m0) = match rows <= TEAM_ROWS {
        true => (
            format!("(group.x * {teams}u + team) * {}u", tile.rows),
            format!("group.y * {m}u"),
        ),
        false => (
            format!("group.x * {}u", tile.rows),
            format!("group.y * {rows}u + team * {TEAM_ROWS}u"),
        ),
    };
    let mut code = String::new();
    let x = if layout.is_dense() { "f32" } else { "u32" };
    let _ = write!(
        code,
        "@group(1) @binding(2) var<storage, read> x: array<vec4<{x}>>;
@group(1) @binding(3) var<storage, read> info: array<vec2<f32>>;
@group(1) @binding(4) var<storage, read_write> out: array<f32>;

var<workgroup> lanes: array<f32, {}>;
var<workgroup> quarters: array<f32, {}>;

",
        teams * 16 * TEAM,
        teams * 16 * 8,
    );
    if !layout.is_dense() {
        code.push_str(dot_functions(dot));
    }
    let _ = write!(
        code,
        "@compute @workgroup_size({})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {{
    let lane = id & {}u;
    let team = id / {TEAM}u;
    let first = {first};
    let m0 = {m0};
    var unit = lane;
",
        teams * TEAM,
        TEAM - 1,
    );
    for row in 0..tile.rows {
        // Rows beyond the last one repeat it; their results are not stored.
        let _ = writeln!(
            code,
            "    let row{row} = min(first + {row}u, dims.rows - 1u);"
        );
        for i in 0..m {
            let _ = writeln!(code, "    var sum{row}_{i} = 0.0;");
        }
    }
    if tile.unroll > 1 {
        let ahead = (tile.unroll - 1) * TEAM;
        let step = tile.unroll * TEAM;
        let _ = writeln!(
            code,
            "    for (; unit + {ahead}u < dims.units; unit += {step}u) {{"
        );
        add_units(&mut code, layout, m, tile, tile.unroll);
        code.push_str("    }\n");
    }
    let _ = writeln!(code, "    for (; unit < dims.units; unit += {TEAM}u) {{");
    add_units(&mut code, layout, m, tile, 1);
    code.push_str("    }\n");
    reduce(&mut code, m, add, tile);
    code.push_str("}\n");
    code
}

/// Loads `count` units of each weight row, then adds their products to the sums.
fn add_units(code: &mut String, layout: Layout, m: usize, tile: Tile, count: usize) {
    for u in 0..count {
        let at = u * TEAM;
        for row in 0..tile.rows {
            let _ = writeln!(
                code,
                "        let w{row}_{u} = load_unit(row{row}, unit + {at}u);"
            );
        }
    }
    for u in 0..count {
        for i in 0..m {
            code.push_str("        {\n");
            accumulate(code, layout, i, u, tile.rows);
            code.push_str("        }\n");
        }
    }
}

fn dot_functions(dot: Dot) -> &'static str {
    match dot {
        Dot::Packed => {
            "fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

fn dot32(w: Unit, low: vec4<u32>, high: vec4<u32>) -> f32 {
    return f32(dot16(w.low, low) + dot16(w.high, high));
}

"
        }
        Dot::Float => {
            "fn dot4(a: u32, b: u32) -> f32 {
    return dot(vec4<f32>(unpack4xI8(a)), vec4<f32>(unpack4xI8(b)));
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> f32 {
    return dot4(a.x, b.x) + dot4(a.y, b.y) + dot4(a.z, b.z) + dot4(a.w, b.w);
}

fn dot32(w: Unit, low: vec4<u32>, high: vec4<u32>) -> f32 {
    return dot16(w.low, low) + dot16(w.high, high);
}

"
        }
    }
}

/// Adds the products of the `u`th loaded unit with activation row `i` to the sums. All products are explicit FMAs, so a compiler
/// cannot contract them differently in another kernel.
fn accumulate(code: &mut String, layout: Layout, i: usize, u: usize, rows: usize) {
    let ahead = u * TEAM;
    if layout.is_dense() {
        let _ = writeln!(
            code,
            "            let at = ((m0 + {i}u) * dims.units + unit + {ahead}u) * 2u;
            let low = x[at];
            let high = x[at + 1u];"
        );
        for row in 0..rows {
            for (half, part) in ["low", "high"].iter().zip(["low", "high"]) {
                for c in ["x", "y", "z", "w"] {
                    let _ = writeln!(
                        code,
                        "            sum{row}_{i} = fma(w{row}_{u}.{half}.{c}, {part}.{c}, sum{row}_{i});"
                    );
                }
            }
        }
        return;
    }
    let _ = writeln!(
        code,
        "            let at = (m0 + {i}u) * 2u * dims.units + unit + {ahead}u;
            let low = x[at];
            let high = x[at + dims.units];
            let step = info[(m0 + {i}u) * dims.units + unit + {ahead}u];"
    );
    for row in 0..rows {
        let _ = match layout.scales() {
            Scales::SuperHalves => writeln!(
                code,
                "            sum{row}_{i} = fma(f32(dot16(w{row}_{u}.low, low)), w{row}_{u}.scale.x * step.x, sum{row}_{i});
            sum{row}_{i} = fma(f32(dot16(w{row}_{u}.high, high)), w{row}_{u}.scale.y * step.x, sum{row}_{i});"
            ),
            Scales::WithMin | Scales::SuperWithMin => writeln!(
                code,
                "            sum{row}_{i} = fma(dot32(w{row}_{u}, low, high), w{row}_{u}.scale.x * step.x, sum{row}_{i});
            sum{row}_{i} = fma(w{row}_{u}.least, step.y, sum{row}_{i});"
            ),
            _ => writeln!(
                code,
                "            sum{row}_{i} = fma(dot32(w{row}_{u}, low, high), w{row}_{u}.scale.x * step.x, sum{row}_{i});"
            ),
        };
    }
}

/// Adds the sums of the threads, 16 results at a time, and stores them.
fn reduce(code: &mut String, m: usize, add: bool, tile: Tile) {
    let results: Vec<(usize, usize)> = (0..tile.rows)
        .flat_map(|row| (0..m).map(move |i| (row, i)))
        .collect();
    for (chunk, part) in results.chunks(16).enumerate() {
        for (i, (row, col)) in part.iter().enumerate() {
            let _ = writeln!(
                code,
                "    lanes[(team * 16u + {i}u) * {TEAM}u + lane] = sum{row}_{col};"
            );
        }
        let count = part.len();
        let store = if add {
            "let to = rows[batch.first + i].state * dims.out_stride + dims.out_first + row;
            states[to] = states[to] + total;"
        } else {
            "out[(batch.out_row + i) * dims.out_stride + dims.out_first + row] = total;"
        };
        let _ = write!(
            code,
            "    workgroupBarrier();
    for (var pair = lane; pair < {}u; pair += {TEAM}u) {{
        let at = (team * 16u + (pair >> 3u)) * {TEAM}u + (pair & 7u) * 4u;
        quarters[(team * 16u + (pair >> 3u)) * 8u + (pair & 7u)] =
            ((lanes[at] + lanes[at + 1u]) + lanes[at + 2u]) + lanes[at + 3u];
    }}
    workgroupBarrier();
    if (lane < {count}u) {{
        let result = {}u + lane;
        let i = m0 + result % {m}u;
        let row = first + result / {m}u;
        let at = (team * 16u + lane) * 8u;
        var total = quarters[at];
        for (var j = 1u; j < 8u; j++) {{
            total += quarters[at + j];
        }}
        if (row < dims.rows && i < batch.n) {{
            {store}
        }}
    }}
    workgroupBarrier();
",
            count * 8,
            chunk * 16,
        );
    }
}
