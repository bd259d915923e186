"""Rows become blocks of exactly M, in order, and none is lost between steps or runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfdqn.replay.items.blocks import BlockPacker, spread


def numbered(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.uint8)[:, None].repeat(2, axis=1)


@given(block_size=st.integers(1, 9), counts=st.lists(st.integers(0, 20), max_size=10))
def test_blocks_are_exactly_m_rows_in_order(block_size: int, counts: list[int]) -> None:
    blocks: list[np.ndarray] = []
    packer = BlockPacker(block_size, 2, lambda block: blocks.append(block.copy()))
    for start, count in zip(np.cumsum([0, *counts]), counts, strict=False):
        packer(numbered(int(start), count))
    assert all(block.shape == (block_size, 2) for block in blocks)
    packed = np.concatenate([*blocks, packer.state()["partial_block"]])
    np.testing.assert_array_equal(packed, numbered(0, sum(counts)))


def test_a_partial_block_goes_on_after_a_restart() -> None:
    blocks: list[np.ndarray] = []
    first, second = (BlockPacker(4, 2, lambda block: blocks.append(block.copy())) for _ in range(2))
    first(numbered(0, 3))
    second.load_state(first.state())
    second(numbered(3, 1))
    np.testing.assert_array_equal(blocks[0], numbered(0, 4))


def test_a_partial_block_of_another_row_size_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        BlockPacker(4, 2, lambda block: None).load_state({"partial_block": np.zeros((1, 3), np.uint8)})


def test_a_block_whose_insertion_was_not_waited_for_is_not_inserted_again() -> None:
    inserted: list[list[int]] = []

    def insert(block: np.ndarray) -> None:
        inserted.append(block[:, 0].tolist())
        if len(inserted) == 1:
            raise TimeoutError

    packer = BlockPacker(4, 1, insert)
    packer(np.arange(3, dtype=np.uint8)[:, None])
    with pytest.raises(TimeoutError):
        packer(np.array([[3]], np.uint8))
    packer(np.arange(4, 8, dtype=np.uint8)[:, None])
    assert inserted == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize(("blocks", "block_size", "servers"), [(12, 4, 1), (12, 4, 3), (7, 16, 2), (2, 3, 5)])
def test_spreading_takes_each_row_once_and_servers_at_equal_distances(
    blocks: int, block_size: int, servers: int
) -> None:
    order = spread(blocks, block_size, servers)
    assert sorted(order) == list(range(blocks * block_size))
    of_server = order // block_size % servers
    for server in range(servers):
        share = (of_server == server).mean()
        so_far = np.cumsum(of_server == server) - share * np.arange(1, len(order) + 1)
        assert abs(so_far).max() <= 1
