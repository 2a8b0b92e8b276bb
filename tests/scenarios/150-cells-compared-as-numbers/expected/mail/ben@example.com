hello, many
