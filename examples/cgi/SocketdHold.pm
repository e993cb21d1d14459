package SocketdHold;

# perl -MSocketdHold SCRIPT [ARGUMENT...]: compile a CGI script with all that it uses, and stop. What
# continues is a copy for one request, which runs the script from its first line.
#
#     cp SocketdHold.pm /usr/local/lib/site_perl/
#     socket --front scgi --ready stop! -p "perl -MSocketdHold /srv/cgi-bin/page.pl" -W 4 -s 4000
#
# `use` and BEGIN run ahead, once: nothing there may look at the request. A script whose first line
# has -T needs -T behind the word perl too.

use strict;
use warnings;
use DynaLoader ();
use File::Basename qw(dirname);

# Perl has copied its environment at its start: fill %ENV again, from where the C library has it. It
# is as tainted as it was.
sub renew_environment {
    my $taint = substr join('', values %ENV), 0, 0;
    my $list = DynaLoader::dl_find_symbol(0, 'environ');  # 0 is RTLD_DEFAULT of dlsym(3)
    my %found;
    $list = _word_at($list);
    while (my $entry = _word_at($list)) {
        my ($name, $value) = split /=/, unpack('p', pack 'J', $entry), 2;
        $found{$name} = $value . $taint;
        $list += length pack 'J', 0;
    }
    %ENV = %found;
}

sub _word_at {
    my ($address) = @_;
    return unpack 'J', unpack 'P' . length(pack 'J', 0), pack 'J', $address;
}

# When the script is compiled, and before it runs.
INIT {
    my ($folder) = dirname($0) =~ /(.*)/s;  # it is from the command line: nobody's taint
    chdir $folder;
    kill 'STOP', $$;
    renew_environment();
}

1;
