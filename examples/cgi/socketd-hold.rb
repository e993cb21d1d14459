# ruby socketd-hold.rb SCRIPT [ARGUMENT...]: load what a CGI script in Ruby requires, compile it, and
# stop. What continues is a copy for one request, which runs the script from its first line.
#
#     socket --front scgi --ready stop! -p "ruby socketd-hold.rb /srv/cgi-bin/page.rb" -W 4 -s 4000
#
# Only `require` at the beginning of a line, with the name in quotes, is done ahead.

path = File.expand_path(ARGV.shift || abort('usage: ruby socketd-hold.rb SCRIPT [ARGUMENT...]'))
text = File.read(path)
$0 = path
Dir.chdir(File.dirname(path))
text.scan(/^require(_relative)?[ (]+(['"])([^'"]+)\2/) do |relative, _, name|
  require(relative ? File.expand_path(name, File.dirname(path)) : name)
rescue LoadError
  nil # the script will get it too, and may expect it
end
script = RubyVM::InstructionSequence.compile(text, path, path)
data_at = text.b.index(/^__END__$/)
Process.kill(:STOP, Process.pid)
DATA = File.open(path).tap { |file| file.pos = data_at + "__END__\n".size } if data_at
script.eval
