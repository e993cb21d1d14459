#!/bin/sh
# Answer with the environment of this request: the smallest way to see what a web server sends.
printf 'Content-Type: text/plain; charset=utf-8\r\n\r\n'
exec env
