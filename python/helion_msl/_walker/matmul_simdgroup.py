"""Matrix products with ``simdgroup_matrix``, which every Apple GPU since M1 has.

The accumulator is cut into blocks of 8x8, which are dealt to the simdgroups like cards: with simdgroups in
``GRID_ROWS`` rows of ``GRID_COLUMNS``, the simdgroup at (i, j) holds the blocks
(i + GRID_ROWS * r, j + GRID_COLUMNS * c). Each of them is 2 registers of a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .matmul import AccumulatorType

NAME = "helion_msl::matmul_accumulator"
FUNCTIONS = {"add": "helion_msl::matmul_add", "store": "helion_msl::matmul_store"}

SNIPPETS = {
    "matmul_accumulator": """
template <int ROWS, int COLUMNS, int GRID_ROWS, int GRID_COLUMNS>
struct matmul_accumulator {
  // Blocks of 8x8 that each simdgroup holds along both sides, rounded up.
  enum : int {
    HEIGHT = (ROWS / 8 + GRID_ROWS - 1) / GRID_ROWS,
    WIDTH = (COLUMNS / 8 + GRID_COLUMNS - 1) / GRID_COLUMNS
  };
  metal::simdgroup_float8x8 blocks[HEIGHT][WIDTH];

  matmul_accumulator() {
    for (int i = 0; i < HEIGHT; ++i) {
      for (int j = 0; j < WIDTH; ++j) {
        blocks[i][j] = metal::make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
      }
    }
  }
};""",
    "matmul_add": """
// accumulator += left * right
template <typename T, int INNER, int ROWS, int COLUMNS, int GRID_ROWS, int GRID_COLUMNS>
inline void matmul_add(
    thread matmul_accumulator<ROWS, COLUMNS, GRID_ROWS, GRID_COLUMNS>& accumulator,
    threadgroup T (&left)[ROWS][INNER], threadgroup T (&right)[INNER][COLUMNS], uint simdgroup) {
  typedef matmul_accumulator<ROWS, COLUMNS, GRID_ROWS, GRID_COLUMNS> shape;
  const int first_row = int(simdgroup) / GRID_COLUMNS, first_column = int(simdgroup) % GRID_COLUMNS;
  for (int inner = 0; inner < INNER; inner += 8) {
    metal::simdgroup_matrix<T, 8, 8> factors[shape::WIDTH];
    for (int j = 0; j < shape::WIDTH; ++j) {
      const int column = first_column + j * GRID_COLUMNS;
      if (COLUMNS / 8 % GRID_COLUMNS == 0 || column < COLUMNS / 8) {
        metal::simdgroup_load(factors[j], &right[inner][column * 8], COLUMNS);
      }
    }
    for (int i = 0; i < shape::HEIGHT; ++i) {
      const int row = first_row + i * GRID_ROWS;
      if (row < ROWS / 8) {
        metal::simdgroup_matrix<T, 8, 8> factor;
        metal::simdgroup_load(factor, &left[row * 8][inner], INNER);
        for (int j = 0; j < shape::WIDTH; ++j) {
          if (COLUMNS / 8 % GRID_COLUMNS == 0 || first_column + j * GRID_COLUMNS < COLUMNS / 8) {
            metal::simdgroup_multiply_accumulate(
                accumulator.blocks[i][j], factor, factors[j], accumulator.blocks[i][j]);
          }
        }
      }
    }
  }
}""",
    "matmul_store": """
template <int ROWS, int COLUMNS, int GRID_ROWS, int GRID_COLUMNS>
inline void matmul_store(
    thread matmul_accumulator<ROWS, COLUMNS, GRID_ROWS, GRID_COLUMNS>& accumulator,
    threadgroup float (&destination)[ROWS][COLUMNS], uint simdgroup) {
  typedef matmul_accumulator<ROWS, COLUMNS, GRID_ROWS, GRID_COLUMNS> shape;
  const int first_row = int(simdgroup) / GRID_COLUMNS, first_column = int(simdgroup) % GRID_COLUMNS;
  for (int i = 0; i < shape::HEIGHT; ++i) {
    for (int j = 0; j < shape::WIDTH; ++j) {
      const int row = first_row + i * GRID_ROWS, column = first_column + j * GRID_COLUMNS;
      if (row < ROWS / 8 && column < COLUMNS / 8) {
        metal::simdgroup_store(accumulator.blocks[i][j], &destination[row * 8][column * 8], COLUMNS);
      }
    }
  }
}""",
}


def type_text(accumulator: AccumulatorType) -> str:
    """Return the C++ type of an accumulator."""
    height, width = arrangement(accumulator)
    return f"{NAME}<{accumulator.rows}, {accumulator.columns}, {height}, {width}>"


def arrangement(accumulator: AccumulatorType) -> tuple[int, int]:
    """Return the rows and columns in which the simdgroups are laid over the accumulator.

    The fewest blocks for the busiest simdgroup come first, then the fewest loads: a simdgroup reads one block of the
    left operand for each of its rows, and one of the right for each of its columns.
    """
    blocks = (accumulator.rows // 8, accumulator.columns // 8)

    def cost(rows: int) -> tuple[int, int]:
        height, width = -(-blocks[0] // rows), -(-blocks[1] // (accumulator.simdgroups // rows))
        return height * width, height + width

    rows = min(range(1, accumulator.simdgroups + 1), key=cost)
    return rows, accumulator.simdgroups // rows
