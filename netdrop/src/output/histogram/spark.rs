//! Numbers as a line of blocks.

/// A block a number, each as high as its part of the greatest; nothing is a blank, and anything more than that is seen.
pub fn sparkline(numbers: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = u128::from(numbers.iter().copied().max().unwrap_or(0).max(1));
    let block = |number: &u64| match u128::from(*number) {
        0 => ' ',
        number => BLOCKS[usize::try_from((number * 8).div_ceil(most) - 1).unwrap_or(0).min(7)],
    };
    numbers.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(&[], "")]
    #[case(&[0, 0], "  ")]
    #[case(&[1], "█")]
    #[case(&[0, 1, 2, 3, 4, 5, 6, 7, 8], " ▁▂▃▄▅▆▇█")]
    #[case(&[1, 1_000_000], "▁█")]
    #[case(&[u64::MAX, u64::MAX / 2], "█▄")]
    fn blocks(#[case] numbers: &[u64], #[case] line: &str) {
        assert_eq!(sparkline(numbers), line);
    }
}
